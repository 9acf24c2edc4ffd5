use std::path::Path;
use std::time::Duration;

use proptest::prelude::*;

use super::*;

fn chain(text: &str) -> Chain {
    text.parse().unwrap_or_else(|error| panic!("{error}"))
}

fn orders(text: &str) -> Vec<Order> {
    chain(text).links().iter().map(|link| link.order).collect()
}

#[test]
fn the_near_side_has_to_give_up_first() {
    assert_eq!(
        orders("client:idle=60 lb:idle=300,kind=f5 server:idle=15,kind=apache"),
        [Order::NearFirst, Order::FarFirst]
    );
    assert_eq!(orders("client:idle=50 lb:idle=60 server:idle=75"), [Order::NearFirst; 2]);
    assert_eq!(orders("client:idle=60 server:idle=61"), [Order::Together]);
    assert_eq!(orders("client:idle=600 server:idle=630"), [Order::Together]);
    assert_eq!(orders("client:idle=500ms server:idle=1"), [Order::Together]);
    assert_eq!(orders("client:idle=never server:idle=5"), [Order::FarFirst]);
    assert_eq!(orders("client server:kind=kernel"), [Order::Never]);
}

#[test]
fn products_bring_their_defaults() {
    let path = chain("go lb:kind=nginx app:kind=node");
    let times: Vec<_> =
        path.hops.iter().map(|hop| hop.idle.as_ref().map(|idle| idle.time.as_secs())).collect();
    assert_eq!(times, [Some(90), Some(75), Some(5)]);
    assert_eq!(
        path.hops.iter().map(|hop| hop.role).collect::<Vec<_>>(),
        [Role::Client, Role::Proxy, Role::Server]
    );
    // nginx toward the server: 60 s against 5 s.
    assert_eq!(path.links().iter().map(|link| link.order).collect::<Vec<_>>(), [Order::FarFirst; 2]);
    let given = chain("client:idle=5 lb:idle=20,kind=nginx app:kind=node,idle=30");
    assert!(given.links().iter().all(|link| link.order == Order::NearFirst));
}

#[test]
fn a_box_in_between_forgets_unless_it_is_kept_awake() {
    let forgets =
        |text: &str| chain(text).links()[0].forgotten.map(|(hop, time)| (hop.name.clone(), time.as_secs()));
    assert_eq!(forgets("client:idle=never nat:idle=350 server:idle=3600"), Some(("nat".to_owned(), 350)));
    assert_eq!(forgets("client:idle=60 nat:idle=350 server:idle=3600"), None);
    assert_eq!(forgets("client:idle=never,keepalive=60 nat:idle=350 server:idle=3600"), None);
    assert_eq!(
        forgets("client:idle=never,keepalive=7200 nat:idle=350 server"),
        Some(("nat".to_owned(), 350))
    );
    assert_eq!(forgets("client:idle=never nat fw:kind=azure-lb server"), Some(("fw".to_owned(), 240)));
}

#[test]
fn errors_point_at_their_place() {
    for (text, wrong) in [
        ("client:idle=60 lb:idel=300 server", "idel"),
        ("client:idle=6o server", "6o"),
        ("client lb:kind=f6 server", "f6"),
        ("client lb:idle server", "idle"),
        ("client :idle=3", ":idle=3"),
        ("nat:idle=3 server", "nat"),
        ("client", "client"),
        ("client:idle=0 server", "0"),
        ("客户端:idle=x server", "x"),
    ] {
        let error = text.parse::<Chain>().expect_err(text);
        assert_eq!(&text[error.place.clone()], wrong, "{error}");
        assert!(error.to_string().contains('^'));
    }
    assert!("".parse::<Chain>().is_err());
}

#[test]
fn configuration_files_are_read() {
    let product = |name| Product::named(name).unwrap();
    let seconds = |config: &Config| -> Vec<(u32, String, Option<u64>, bool)> {
        let told = |setting: &Setting| {
            (setting.line, setting.scope.clone(), setting.time.map(|time| time.as_secs()), setting.upstream)
        };
        config.settings.iter().map(told).collect()
    };
    let nginx = read_config(
        product("nginx"),
        "http {\n  # keepalive_timeout 1;\n  keepalive_timeout 65 60; include conf.d/*.conf;\n  upstream app { server a:80;\n keepalive_timeout 90s; }\n  server { keepalive_timeout 0; keepalive_timeout x; }\n}\n",
    )
    .unwrap();
    assert_eq!(
        seconds(&nginx),
        [
            (3, "http".to_owned(), Some(65), false),
            (5, "upstream app".to_owned(), Some(90), true),
            (6, "server".to_owned(), None, false),
        ]
    );
    assert_eq!(nginx.includes, [(3, "conf.d/*.conf".to_owned())]);
    assert_eq!(nginx.errors.iter().map(|error| error.line).collect::<Vec<_>>(), [6]);
    let httpd = read_config(
        product("httpd"),
        "KeepAlive On\nKeepAliveTimeout 15\n<VirtualHost *:80>\nkeepalivetimeout 500ms\nProxyPass / http://a/ \\\n ttl=60\n</VirtualHost>\nKeepAlive Off\nIncludeOptional mods/*.conf\n",
    )
    .unwrap();
    assert_eq!(
        seconds(&httpd),
        [
            (2, String::new(), Some(15), false),
            (4, "VirtualHost *:80".to_owned(), Some(0), false),
            (5, "VirtualHost *:80".to_owned(), Some(60), true),
            (8, String::new(), None, false),
        ]
    );
    let haproxy = read_config(
        product("haproxy"),
        "defaults\n  timeout client 30s\n  timeout server 60000 # ms\n  timeout http-keep-alive 10s\nbackend b\n  timeout server 2m\n  timeout connect 5s\n",
    )
    .unwrap();
    assert_eq!(
        seconds(&haproxy),
        [
            (2, "defaults".to_owned(), Some(30), false),
            (3, "defaults".to_owned(), Some(60), true),
            (4, "defaults".to_owned(), Some(10), false),
            (6, "backend b".to_owned(), Some(120), true),
        ]
    );
    assert_eq!(read_config(product("f5"), ""), None);
}

#[test]
fn whether_connections_to_servers_are_kept_is_read() {
    let keeps = |name: &str, text: &str| {
        read_config(Product::named(name).expect("it is known"), text).expect("it is read").keeps_upstream
    };
    for (name, text, expected) in [
        ("nginx", "upstream a { server b; keepalive 16; }", Some(true)),
        ("nginx", "upstream a { server b; }", None),
        ("nginx", "server { keepalive 16; }", None),
        ("httpd", "ProxyPass / http://a/", Some(true)),
        ("httpd", "ProxyPass / http://a/ disablereuse=On", Some(false)),
        ("httpd", "ProxyPass /a http://a/ disablereuse=on\nProxyPass / http://b/", Some(true)),
        ("httpd", "KeepAlive On", None),
        ("haproxy", "defaults\n option httpclose", Some(false)),
        ("haproxy", "backend b\n http-reuse never", Some(false)),
        ("haproxy", "backend b\n http-reuse always", Some(true)),
        ("haproxy", "backend b\n server s 192.0.2.1:80", None),
    ] {
        assert_eq!(keeps(name, text), expected, "{text}");
    }
    let httpd = read_config(Product::named("httpd").unwrap(), "ServerRoot \"/etc/httpd\"\n").unwrap();
    assert_eq!(httpd.root.as_deref(), Some("/etc/httpd"));
    let haproxy = Product::named("haproxy").unwrap();
    let purge =
        read_config(haproxy, "backend b\n server s 192.0.2.1:80 pool-purge-delay 12s check\n").unwrap();
    assert_eq!((purge.settings[0].time, purge.settings[0].upstream), (Some(Duration::from_secs(12)), true));
    assert_eq!(
        read_config(haproxy, "defaults\n default-server pool-purge-delay x").unwrap().errors[0].line,
        2
    );
}

#[test]
fn settings_are_written_as_the_product_has_them() {
    let apache = Product::named("apache2").unwrap();
    assert_eq!(apache.set(Duration::from_secs(310), false).as_deref(), Some("KeepAliveTimeout 310"));
    let names: Vec<_> =
        PRODUCTS.iter().flat_map(|product| [&[product.name], product.aliases].concat()).collect();
    let mut unique = names.clone();
    unique.sort_unstable();
    unique.dedup();
    assert_eq!(unique.len(), names.len(), "a word stands for one product");
}

#[test]
fn a_path_comes_to_findings_the_worst_first() {
    let findings = chain("client:idle=60 lb:idle=300,kind=f5 server:idle=15,kind=apache").findings();
    let told: Vec<_> =
        findings.iter().map(|finding| (finding.variant, finding.subject.remote.as_deref())).collect();
    assert_eq!(told, [(Some("far-first"), Some("server")), (Some("right"), Some("lb"))]);
    let commands: Vec<_> = findings[0].fixes.iter().filter_map(|fix| fix.command.as_deref()).collect();
    assert_eq!(commands, ["KeepAliveTimeout 330", "tmsh modify ltm profile tcp PROFILE idle-timeout 13"]);
    let forgotten = chain("client:idle=never nat:idle=350 server:idle=3600").findings();
    assert!(forgotten.iter().any(|finding| finding.variant == Some("forgotten")));
}

#[test]
fn seeds_pass() {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fuzz/seeds/doctor_text");
    let mut seeds = 0;
    for entry in std::fs::read_dir(directory).expect("the seeds are part of the source") {
        let bytes = std::fs::read(entry.expect("it can be read").path()).expect("a seed can be read");
        try_any_text(&String::from_utf8_lossy(&bytes));
        seeds += 1;
    }
    assert!(seeds > 0);
}

proptest! {
    #[test]
    fn any_text_is_survived(text in ".{0,80}") {
        try_any_text(&text);
    }

    #[test]
    fn likely_text_is_survived(words in prop::collection::vec(prop_oneof![
        Just("client"), Just("nat"), Just(":"), Just("idle="), Just("kind=f5"), Just(","), Just(" "), Just("60"), Just("99999999999999999999"),
        Just("d"), Just("never"), Just("keepalive_timeout "), Just(";"), Just("{"), Just("}"), Just("\n"), Just("timeout server "), Just("\\\n"), Just("<"), Just("\""),
    ], 0..30)) {
        try_any_text(&words.concat());
    }
}
