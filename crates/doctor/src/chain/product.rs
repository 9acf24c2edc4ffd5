//! Products whose timeouts are known.

use std::time::Duration;

/// What a hop does with connections.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Role {
    /// Opens them.
    Client,
    /// Ends one and opens another: a load balancer, a reverse proxy.
    Proxy,
    /// Accepts them.
    Server,
    /// Lets them pass and remembers them: NAT, a firewall.
    Filter,
}

/// A product, and what it does unless it is told otherwise.
#[derive(Debug, PartialEq, Eq)]
pub struct Product {
    /// The word for it in a path: `apache`.
    pub name: &'static str,
    /// Other words for it.
    pub aliases: &'static [&'static str],
    /// What it is called.
    pub title: &'static str,
    /// What it mostly is.
    pub role: Role,
    /// Seconds after which it closes or forgets an idle connection toward the client; `None`: never, or not by default.
    pub idle_s: Option<u64>,
    /// The same toward the server, where that differs.
    pub upstream_idle_s: Option<u64>,
    /// Seconds of silence before its TCP keepalives; `None`: it sends none by default.
    pub keepalive_s: Option<u64>,
    /// How long it keeps TIME_WAIT, in seconds, if not as the kernel.
    pub time_wait_s: Option<u64>,
    /// Requests after which it closes a connection, whatever its timeouts.
    pub requests: Option<u64>,
    /// The setting that decides, as it is written, with `{s}` for the seconds.
    pub setting: &'static str,
    /// The setting toward the server, where it is another one.
    pub upstream_setting: Option<&'static str>,
    /// Which versions that holds for, and what else to know.
    pub note: &'static str,
}

const NOTHING: Product = Product {
    name: "",
    aliases: &[],
    title: "",
    role: Role::Server,
    idle_s: None,
    upstream_idle_s: None,
    keepalive_s: None,
    time_wait_s: None,
    requests: None,
    setting: "",
    upstream_setting: None,
    note: "",
};

/// All of them.
pub static PRODUCTS: &[Product] = &[
    Product {
        name: "f5",
        aliases: &["bigip", "big-ip"],
        title: "F5 BIG-IP",
        role: Role::Proxy,
        idle_s: Some(300),
        keepalive_s: Some(1_800),
        time_wait_s: Some(2),
        setting: "tmsh modify ltm profile tcp PROFILE idle-timeout {s}",
        note: "TCP profile: idle timeout 300 s, keepalive interval 1800 s, TIME_WAIT 2000 ms and recycled; an idle connection is reset on both sides unless reset-on-timeout is off",
        ..NOTHING
    },
    Product {
        name: "nginx",
        aliases: &[],
        title: "nginx",
        role: Role::Server,
        idle_s: Some(75),
        upstream_idle_s: Some(60),
        requests: Some(1_000),
        setting: "keepalive_timeout {s}s;",
        upstream_setting: Some("keepalive_timeout {s}s; in upstream { }"),
        note: "keepalive_timeout 75s toward clients; toward servers 60s since 1.15.3; keepalive_requests 1000 since 1.19.10, 100 before",
        ..NOTHING
    },
    Product {
        name: "apache",
        aliases: &["httpd", "apache2"],
        title: "Apache httpd",
        role: Role::Server,
        idle_s: Some(5),
        requests: Some(100),
        setting: "KeepAliveTimeout {s}",
        note: "KeepAliveTimeout 5 since 2.2, 15 before; MaxKeepAliveRequests 100; the event MPM closes idle connections earlier when it runs out of workers",
        ..NOTHING
    },
    Product {
        name: "haproxy",
        aliases: &[],
        title: "HAProxy",
        role: Role::Proxy,
        setting: "timeout http-keep-alive {s}s",
        upstream_setting: Some("timeout server {s}s"),
        note: "no timeouts by default; toward clients timeout http-keep-alive, else timeout http-request, else timeout client; toward servers timeout server, and pool-purge-delay 5s for idle connections since 1.9",
        ..NOTHING
    },
    Product {
        name: "node",
        aliases: &["nodejs"],
        title: "Node.js",
        role: Role::Server,
        idle_s: Some(5),
        setting: "server.keepAliveTimeout = {s}000",
        note: "http.Server.keepAliveTimeout 5000 ms since 8.0",
        ..NOTHING
    },
    Product {
        name: "gunicorn",
        aliases: &[],
        title: "Gunicorn",
        role: Role::Server,
        idle_s: Some(2),
        setting: "gunicorn --keep-alive {s}",
        note: "keepalive 2 s with threaded and asynchronous workers; sync workers close after each response",
        ..NOTHING
    },
    Product {
        name: "tomcat",
        aliases: &[],
        title: "Apache Tomcat",
        role: Role::Server,
        idle_s: Some(20),
        requests: Some(100),
        setting: "<Connector keepAliveTimeout=\"{s}000\" …>",
        note: "keepAliveTimeout is connectionTimeout unless set: 20000 ms in the server.xml that is delivered, 60000 ms without",
        ..NOTHING
    },
    Product {
        name: "go",
        aliases: &["golang"],
        title: "Go net/http",
        role: Role::Client,
        idle_s: Some(90),
        keepalive_s: Some(15),
        setting: "http.Transport{IdleConnTimeout: {s} * time.Second}",
        note: "http.DefaultTransport: IdleConnTimeout 90 s; TCP keepalives after 15 s",
        ..NOTHING
    },
    Product {
        name: "aws-alb",
        aliases: &["alb"],
        title: "AWS Application Load Balancer",
        role: Role::Proxy,
        idle_s: Some(60),
        setting: "idle_timeout.timeout_seconds={s}",
        note: "idle timeout 60 s, 1 to 4000 s",
        ..NOTHING
    },
    Product {
        name: "aws-nlb",
        aliases: &["nlb"],
        title: "AWS Network Load Balancer",
        role: Role::Filter,
        idle_s: Some(350),
        setting: "tcp.idle_timeout.seconds={s}",
        note: "forgets TCP flows after 350 s; 60 to 6000 s can be set",
        ..NOTHING
    },
    Product {
        name: "aws-nat",
        aliases: &[],
        title: "AWS NAT gateway",
        role: Role::Filter,
        idle_s: Some(350),
        note: "350 s, cannot be set; what comes later is answered with RST",
        ..NOTHING
    },
    Product {
        name: "azure-lb",
        aliases: &["azure"],
        title: "Azure Load Balancer",
        role: Role::Filter,
        idle_s: Some(240),
        setting: "idle timeout of the rule, in minutes",
        note: "4 minutes, up to 30 can be set; forgets in silence unless TCP reset is on",
        ..NOTHING
    },
    Product {
        name: "conntrack",
        aliases: &["nat", "firewall", "iptables", "nftables"],
        title: "Linux connection tracking",
        role: Role::Filter,
        idle_s: Some(432_000),
        setting: "sysctl -w net.netfilter.nf_conntrack_tcp_timeout_established={s}",
        note: "nf_conntrack_tcp_timeout_established 432000 s: five days; other firewalls forget after minutes",
        ..NOTHING
    },
    Product {
        name: "kernel",
        aliases: &["linux"],
        title: "a program without a timeout of its own, on Linux",
        role: Role::Server,
        note: "the kernel closes no idle connection; keepalive, where the program asks for it, begins after net.ipv4.tcp_keepalive_time (7200 s)",
        ..NOTHING
    },
];

impl Product {
    /// The product with this name or alias.
    pub fn named(name: &str) -> Option<&'static Self> {
        let name = name.to_ascii_lowercase();
        PRODUCTS.iter().find(|product| product.name == name || product.aliases.contains(&&*name))
    }

    /// What to write to set the time toward the client, or toward the server.
    pub fn set(&self, time: Duration, upstream: bool) -> Option<String> {
        let setting = if upstream { self.upstream_setting.unwrap_or(self.setting) } else { self.setting };
        (!setting.is_empty()).then(|| setting.replace("{s}", &time.as_secs().to_string()))
    }
}
