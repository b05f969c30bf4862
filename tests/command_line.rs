//! The command line as a shell and a reader of manuals see it.

#![allow(clippy::unwrap_used, reason = "helpers of tests are tests too")]

use std::{
    fs,
    io::{Read, Write},
    net::TcpListener,
    process::Command,
    thread,
};

fn output(arguments: &[&str]) -> String {
    let output = Command::new(env!("CARGO_BIN_EXE_rerank-proxy")).args(arguments).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

/// The subcommands, as the help lists them.
fn subcommands() -> Vec<String> {
    let help = output(&["--help"]);
    let (_, list) = help.split_once("Commands:\n").unwrap();
    let (list, _) = list.split_once("\n\n").unwrap();
    let first_words = list.lines().filter_map(|line| line.strip_prefix("  ")?.split(' ').next().map(str::to_owned));
    first_words.filter(|word| !word.is_empty() && word != "help").collect()
}

#[test]
fn a_real_bash_completes_subcommands_and_flags() {
    let folder = tempfile::tempdir().unwrap();
    let script = folder.path().join("rerank-proxy.bash");
    fs::write(&script, output(&["completions", "bash"])).unwrap();
    let completed = |words: &str, place: usize| {
        let ask = format!(
            "source {}; COMP_WORDS=(rerank-proxy {words}); COMP_CWORD={place}; \
             $(complete -p rerank-proxy | grep -o -- '-F [^ ]*' | cut -d ' ' -f 2) rerank-proxy \
             \"${{COMP_WORDS[$COMP_CWORD]}}\"; echo \"${{COMPREPLY[@]}}\"",
            script.display()
        );
        let bash = Command::new("bash").arg("-c").arg(ask).output().unwrap();
        String::from_utf8(bash.stdout).unwrap().trim().to_owned()
    };
    assert_eq!(completed("heal", 1), "health");
    assert_eq!(completed("serve --upst", 2), "--upstream");
    for shell in ["zsh", "fish", "elvish", "powershell"] {
        assert!(output(&["completions", shell]).contains("upstream"), "{shell}");
    }
}

#[test]
fn the_manual_has_a_page_for_every_subcommand() {
    let folder = tempfile::tempdir().unwrap();
    output(&["man", "--into", folder.path().to_str().unwrap()]);
    let commands = subcommands();
    assert!(commands.len() > 5, "{commands:?}");
    for command in commands {
        let page = fs::read_to_string(folder.path().join(format!("rerank-proxy-{command}.1"))).unwrap();
        assert!(page.contains(".SH SYNOPSIS"), "{command}");
    }
    assert!(output(&["man"]).contains("rerank\\-proxy\\-serve(1)"));
}

#[test]
fn a_folder_that_is_not_there_is_named() {
    let output =
        Command::new(env!("CARGO_BIN_EXE_rerank-proxy")).args(["man", "--into", "no/such/folder"]).output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(!output.status.success() && said.contains("no/such/folder"), "{said}");
}

#[test]
fn health_asks_the_admin_listener_where_there_is_one() {
    let admin = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = admin.local_addr().unwrap().to_string();
    let asked = thread::spawn(move || {
        let (mut stream, _) = admin.accept().unwrap();
        let mut head = [0; 4096];
        let length = stream.read(&mut head).unwrap();
        stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nfine\n").unwrap();
        String::from_utf8_lossy(&head[..length]).into_owned()
    });
    let health = || {
        let mut command = Command::new(env!("CARGO_BIN_EXE_rerank-proxy"));
        command.arg("health").env("RERANK_PROXY_ADMIN__LISTEN", &address).output().unwrap()
    };
    let told = health();
    assert!(told.status.success() && told.stdout == b"fine\n", "{told:?}");
    assert!(asked.join().unwrap().starts_with("GET /_rerank/health HTTP/1.1\r\n"));
    let told = health();
    let said = String::from_utf8_lossy(&told.stderr);
    assert!(
        !told.status.success() && said.contains(&format!("no answer from http://{address}/_rerank/health")),
        "{said}"
    );
}
