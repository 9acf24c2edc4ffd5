//! Idle timeouts of the real nginx, Apache httpd and HAProxy that run here, found by their processes.

use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};

use eleven_testbed::namespace::Net;
use eleven_testbed::{or_skip, wait_for};
use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;

use super::{findings_with, first, silent, whole};
use crate::support::program::{RunInside, eleven};

/// A server of the test's own, which ends with the value.
struct Server(Child);

impl Server {
    /// Starts a program in a namespace and waits until somebody listens at that port.
    fn start(net: &Net, program: &str, arguments: &[&str], port: u16) -> Result<Self, String> {
        let mut command = Command::new(program);
        command.args(arguments).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        let child = net.run(|| command.spawn()).map_err(|error| format!("no {program}: {error}"))?;
        let server = Self(child);
        let at = SocketAddr::from(([127, 0, 0, 1], port));
        wait_for(program, || net.run(|| TcpStream::connect(at)).map(drop));
        Ok(server)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // Workers end with their master, if it may end in order.
        let _ = kill_process(Pid::from_child(&self.0), Signal::TERM);
        let _ = self.0.wait();
    }
}

/// Directories and files of servers.
struct Files(tempfile::TempDir);

impl Files {
    fn new() -> Self {
        let directory = tempfile::tempdir().expect("a place for files");
        // Workers are other users.
        fs::set_permissions(directory.path(), std::os::unix::fs::PermissionsExt::from_mode(0o755))
            .expect("it is ours");
        Self(directory)
    }

    fn path(&self, name: &str) -> String {
        self.0.path().join(name).to_str().expect("a plain path").to_owned()
    }

    fn write(&self, name: &str, text: &str) -> String {
        let path = self.path(name);
        fs::create_dir_all(Path::new(&path).parent().expect("a directory")).expect("there is room");
        fs::write(&path, text).expect("there is room");
        path
    }

    /// nginx at 8080 in front of 8081, with a pool; its servers stand in a file that the main one includes.
    fn nginx(&self, of_pool: &str) -> String {
        let at = self.0.path().display();
        self.write(
            "conf.d/site.conf",
            &format!(
                "upstream app {{ server 127.0.0.1:8081; keepalive 8; {of_pool} }}
                 server {{
                   listen 127.0.0.1:8080;
                   location / {{ proxy_pass http://app; proxy_http_version 1.1; proxy_set_header Connection \"\"; }}
                 }}"
            ),
        );
        self.write(
            "nginx.conf",
            &format!(
                "daemon off; user root; worker_processes 1; pid {at}/nginx.pid; error_log {at}/nginx.log;
                 events {{ worker_connections 64; }}
                 http {{
                   access_log off; keepalive_timeout 65;
                   client_body_temp_path {at}/b; proxy_temp_path {at}/p; fastcgi_temp_path {at}/f;
                   uwsgi_temp_path {at}/u; scgi_temp_path {at}/s;
                   include conf.d/*.conf;
                 }}"
            ),
        )
    }

    /// Apache httpd at 8081.
    fn apache(&self, keep: &str) -> Result<String, String> {
        let at = self.0.path().display();
        let modules = ["/usr/lib/apache2/modules", "/usr/lib64/httpd/modules"];
        let modules =
            modules.into_iter().find(|path| Path::new(path).is_dir()).ok_or("no modules of httpd")?;
        fs::create_dir_all(self.path("site")).expect("there is room");
        self.write("site/index.html", "hello\n");
        Ok(self.write(
            "apache/apache.conf",
            &format!(
                "ServerRoot {at}/apache\nServerName x\nPidFile {at}/apache.pid\nErrorLog {at}/apache.log\n\
                 LoadModule mpm_event_module {modules}/mod_mpm_event.so\n\
                 LoadModule authz_core_module {modules}/mod_authz_core.so\n\
                 LoadModule dir_module {modules}/mod_dir.so\n\
                 Listen 127.0.0.1:8081\nDocumentRoot {at}/site\n\
                 <Directory {at}/site>\nRequire all granted\n</Directory>\n{keep}\n"
            ),
        ))
    }
}

/// A request through the front; the client keeps its connection.
fn ask(net: &Net, port: u16) -> TcpStream {
    net.run(|| {
        let mut client = TcpStream::connect(("127.0.0.1", port)).expect("it listens");
        client.write_all(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n").expect("connected");
        let mut answer = Vec::new();
        let mut piece = [0; 4096];
        while !answer.ends_with(b"hello\n") {
            let length = client.read(&mut piece).expect("connected");
            assert!(length > 0, "{}", String::from_utf8_lossy(&answer));
            answer.extend_from_slice(&piece[..length]);
        }
        client
    })
}

/// Whether they are installed.
fn installed(programs: &[&str]) -> Result<(), String> {
    let missing = |program: &&&str| Command::new(program).arg("-v").output().is_err();
    programs.iter().find(missing).map_or(Ok(()), |program| Err(format!("{program} is not installed")))
}

fn value(finding: &Value, key: &str) -> Value {
    let evidence = finding["evidence"].as_array().expect("a list");
    evidence
        .iter()
        .find(|evidence| evidence["key"] == key)
        .map_or(Value::Null, |evidence| evidence["value"].clone())
}

const LOOK: &[&str] = &["--for", "1s"];

#[test]
fn a_server_that_closes_before_its_front_is_found() {
    or_skip!(installed(&["nginx", "apache2"]));
    let (net, files) = (or_skip!(Net::new()), Files::new());
    let apache = or_skip!(files.apache("KeepAlive On\nIncludeOptional keep/*.conf"));
    let keep = files.write("apache/keep/a.conf", "# how long\nKeepAliveTimeout 20\n");
    let nginx = files.nginx("");
    let back = or_skip!(Server::start(&net, "apache2", &["-DFOREGROUND", "-f", &apache], 8081));
    let front = or_skip!(Server::start(&net, "nginx", &["-c", &nginx], 8080));
    // Nobody has asked yet: there is nothing between them, and nothing to warn of.
    silent(&findings_with(&net, LOOK));
    let client = ask(&net, 8080);
    let found = findings_with(&net, LOOK);
    let finding = first(&found, "idle-timeout-order", "configuration");
    whole(finding);
    assert_eq!((&finding["severity"], &finding["count"]), (&"warning".into(), &1.into()));
    assert_eq!(finding["subject"]["pid"], back.0.id());
    assert_eq!(finding["subject"]["local"], format!("nginx (pid {})", front.0.id()));
    assert_eq!((value(finding, "near_idle"), value(finding, "far_idle")), (60_000.into(), 20_000.into()));
    assert_eq!(value(finding, "far_source"), format!("{keep}:2"));
    assert_eq!(finding["fixes"][0]["command"], "KeepAliveTimeout 66");
    assert_eq!(net.eleven(&["doctor", "--for", "1s", "--exit-code"]).code, Some(3));
    let chinese = net.eleven(&["doctor", "--for", "1s", "--lang", "zh-CN", "--verbose"]).done();
    assert!(chinese.contains("关闭客户端空闲连接的时间"), "{chinese}");
    // A watch sees it too.
    let mut watch = net.run(|| {
        let mut command = eleven(&[
            "doctor",
            "--watch",
            "--for",
            "300ms",
            "--only",
            "idle-timeout-order",
            "--format",
            "ndjson",
        ]);
        command.stdout(Stdio::piped()).spawn().expect("it starts")
    });
    let mut line = String::new();
    BufReader::new(watch.stdout.take().expect("a pipe")).read_line(&mut line).expect("a line");
    let begins: Value = serde_json::from_str(&line).expect("an object");
    assert_eq!((&begins["change"], &begins["finding"]["count"]), (&"begins".into(), &1.into()), "{line}");
    kill_process(Pid::from_child(&watch), Signal::INT).expect("it runs");
    watch.wait().expect("it ends");
    // Not asked for, or from files that the user names in place of those that are found.
    silent(&findings_with(&net, &["--for", "1s", "--skip", "idle-timeout-order"]));
    let longer = files.write("apache-longer.conf", "KeepAliveTimeout 120\n");
    silent(&findings_with(&net, &["--for", "1s", "--config", &longer]));
    let strange = net.eleven(&["doctor", "--for", "0s", "--config", &files.write("haproxy.cfg", "")]);
    assert!(strange.stderr.contains("no HAProxy listens here"), "{strange:#?}");
    drop(client);
    drop(front);

    // What the finding advises is done, and it is gone.
    let nginx = files.nginx("keepalive_timeout 13s;");
    let _front = or_skip!(Server::start(&net, "nginx", &["-c", &nginx], 8080));
    let _client = ask(&net, 8080);
    silent(&findings_with(&net, LOOK));
    let said = net
        .eleven(&["doctor", "--for", "1s", "--verbose"])
        .done()
        .split_whitespace()
        .collect::<Vec<_>>()
        .join(" ");
    for words in [
        "closes idle connections of clients after 1 m 5 s",
        "those to its servers after 13 s",
        "of clients after 20 s",
    ] {
        assert!(said.contains(words), "{words}: {said}");
    }
}

#[test]
fn files_are_those_that_the_process_sees() {
    or_skip!(installed(&["nginx", "apache2", "unshare"]));
    let (net, files) = (or_skip!(Net::new()), Files::new());
    if !Path::new("/etc/nginx").is_dir() {
        return eleven_testbed::skipped("there is no /etc/nginx to lay a directory over");
    }
    let apache = or_skip!(files.apache("KeepAliveTimeout 20"));
    files.nginx("");
    // As in a container: its files lie elsewhere for us, and a link in them leads to a place only it knows.
    fs::rename(files.path("conf.d/site.conf"), files.path("site.conf")).expect("it is there");
    std::os::unix::fs::symlink("/etc/nginx/site.conf", files.path("conf.d/link.conf"))
        .expect("there is room");
    let script = format!("mount --bind {} /etc/nginx && exec nginx", files.0.path().display());
    let _back = or_skip!(Server::start(&net, "apache2", &["-DFOREGROUND", "-f", &apache], 8081));
    let _front = or_skip!(Server::start(&net, "unshare", &["--mount", "sh", "-c", &script], 8080));
    let _client = ask(&net, 8080);
    let found = findings_with(&net, LOOK);
    let finding = first(&found, "idle-timeout-order", "configuration");
    assert_eq!((value(finding, "near_idle"), value(finding, "far_idle")), (60_000.into(), 20_000.into()));
}

#[test]
fn healthy_chains_are_silent() {
    or_skip!(installed(&["nginx", "apache2", "haproxy"]));
    let (net, files) = (or_skip!(Net::new()), Files::new());
    // HAProxy lets idle connections go within seconds; nginx without a pool keeps none.
    let apache = or_skip!(files.apache("KeepAliveTimeout 20"));
    let _back = or_skip!(Server::start(&net, "apache2", &["-DFOREGROUND", "-f", &apache], 8081));
    let haproxy = files.write(
        "haproxy.cfg",
        "defaults\n mode http\n timeout connect 1s\n timeout client 30s\n timeout server 90s\n\
         frontend f\n bind 127.0.0.1:8082\n default_backend b\n\
         backend b\n server s 127.0.0.1:8081\n",
    );
    let front = or_skip!(Server::start(&net, "haproxy", &["-db", "-f", &haproxy], 8082));
    let _client = ask(&net, 8082);
    silent(&findings_with(&net, LOOK));
    let said = net
        .eleven(&["doctor", "--for", "0s", "--verbose"])
        .done()
        .split_whitespace()
        .collect::<Vec<_>>()
        .join(" ");
    assert!(said.contains(&format!("haproxy (pid {})", front.0.id())), "{said}");
    assert!(said.contains("of clients after 30 s") && said.contains("to its servers after 5 s"), "{said}");
    drop(front);

    let nginx = files.nginx("");
    let site = fs::read_to_string(files.path("conf.d/site.conf")).expect("it is there");
    files.write("conf.d/site.conf", &site.replace("keepalive 8;", ""));
    let _front = or_skip!(Server::start(&net, "nginx", &["-c", &nginx], 8080));
    let _client = ask(&net, 8080);
    silent(&findings_with(&net, LOOK));
}

#[test]
fn files_that_cannot_be_read_are_told_where_it_is_asked_for() {
    or_skip!(installed(&["nginx"]));
    let (net, files) = (or_skip!(Net::new()), Files::new());
    let nginx = files.nginx("");
    let _server = or_skip!(Server::start(&net, "nginx", &["-c", &nginx], 8080));
    // What is wrong in a file that nobody named is nobody's question.
    let text = fs::read_to_string(&nginx).expect("it is there");
    files.write("nginx.conf", &format!("{text}\ninclude absent.conf;\nkeepalive_timeout soon;"));
    let quiet = net.eleven(&["doctor", "--for", "0s", "--format", "json"]);
    assert_eq!((quiet.code, quiet.stderr.as_str()), (Some(0), ""));
    for arguments in [&["--verbose"][..], &["--config", &nginx]] {
        let told = net.eleven(&[&["doctor", "--for", "0s", "--format", "json"], arguments].concat()).stderr;
        assert!(
            told.contains("there is no absent.conf") && told.contains("keepalive_timeout soon"),
            "{told}"
        );
    }
    fs::remove_file(&nginx).expect("it is there");
    silent(&findings_with(&net, LOOK));
    let said = net.eleven(&["doctor", "--for", "0s", "--verbose"]).done();
    assert!(said.split_whitespace().collect::<String>().contains("Nosuchfile"), "{said}");
    net.eleven(&["doctor", "--for", "0s", "--config", &files.path("else")]).fails(2, &["not told whether"]);
}
