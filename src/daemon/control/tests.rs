use std::sync::Arc;

use super::*;
use crate::pipeline::outbox::wish::Which;
use crate::pipeline::saved::Table;

const LIST: Wish = Wish::List;

#[test]
fn a_directory_without_state_is_named_and_left_alone() {
    let folder = tempfile::tempdir().unwrap();
    for path in [folder.path().to_owned(), folder.path().join("none")] {
        let error = ask(&path, &LIST).unwrap_err();
        assert!(matches!(error, ControlError::NoState(_)), "{error}");
        assert!(error.to_string().contains("--storage.path"));
    }
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0);
}

/// A state with one dead message, number 7.
fn with_dead(folder: &Path) {
    let mut store = Store::open(folder, clock::now()).unwrap().store;
    let mut changes = Changes::default();
    let message = r#"{"receiver":"oncall","notice":{"key":"certdrift/ConnectorSilent/a/b","id":"msg_1",
        "name":"ConnectorSilent","place":{"server":"b","connector":"a"},"severity":"warning","is_first":true,
        "places":1,"starts_at":"2026-01-01T00:00:00Z","ends_at":null,"reasons":[]},
        "since":"2026-01-01T00:00:00Z","tries":2,"due":"2026-01-01T00:00:00Z","minimal":true,"death":"refused"}"#;
    let key = format!("{:020}", 7);
    changes.put_text(Table::Message, key, message.to_owned());
    store.commit(&changes).unwrap();
}

fn dead(folder: &Path) -> Vec<(u64, bool)> {
    let Reply::Messages(messages) = ask(folder, &LIST).unwrap() else {
        panic!("a list was asked for");
    };
    let told = messages.iter();
    told.map(|it| (it.number, it.dead.is_some())).collect()
}

#[test]
fn a_state_that_nobody_uses_is_opened() {
    let folder = tempfile::tempdir().unwrap();
    with_dead(folder.path());
    assert_eq!(dead(folder.path()), [(7, true)]);
    let replay = Wish::Replay(Which::Numbers(vec![7]));
    let done = Reply::Done {
        done: vec![7],
        refused: Vec::new(),
    };
    assert_eq!(ask(folder.path(), &replay).unwrap(), done);
    assert_eq!(dead(folder.path()), [(7, false)], "and it is on disk");
}

#[test]
fn a_state_in_use_by_somebody_who_does_not_listen_is_left_alone() {
    let folder = tempfile::tempdir().unwrap();
    let _held = Store::open(folder.path(), clock::now()).unwrap();
    let error = ask(folder.path(), &LIST).unwrap_err();
    assert!(matches!(error, ControlError::NoAnswer { .. }), "{error}");
}

#[test]
fn a_damaged_state_is_not_replaced_by_somebody_who_only_asks() {
    let folder = tempfile::tempdir().unwrap();
    with_dead(folder.path());
    let database = folder.path().join("certdrift.db");
    std::fs::write(&database, "no database").unwrap();
    let error = ask(folder.path(), &LIST).unwrap_err();
    assert!(matches!(error, ControlError::Store(_)), "{error}");
    assert_eq!(std::fs::read(&database).unwrap(), b"no database");
}

/// Somebody who runs on the directory, and answers so many wishes with what was asked.
#[cfg(unix)]
fn daemon(folder: &Path) -> (tokio::runtime::Runtime, Control) {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .enable_all()
        .build()
        .unwrap();
    let (questions, mut asked) = mpsc::channel::<Question>(4);
    let control = {
        let _inside = runtime.enter();
        Control::offer(folder, questions)
    };
    runtime.spawn(async move {
        while let Some(question) = asked.recv().await {
            let text = format!("{:?}", question.wish);
            question.answer(Reply::Refused(text));
        }
    });
    (runtime, control)
}

#[cfg(unix)]
fn told(folder: &Path) -> String {
    match ask(folder, &LIST).unwrap() {
        Reply::Refused(text) => text,
        other => panic!("{other:?}"),
    }
}

#[cfg(unix)]
#[test]
fn the_daemon_answers_several_at_once_and_the_socket_is_its_owners_alone() {
    use std::os::unix::fs::PermissionsExt as _;
    let folder = tempfile::tempdir().unwrap();
    let path = Arc::new(folder.path().to_owned());
    let _held = Store::open(&path, clock::now()).unwrap();
    let socket = path.join(SOCKET);
    // What a killed process left behind.
    drop(std::os::unix::net::UnixListener::bind(&socket).unwrap());
    assert!(ask(&path, &LIST).is_err());
    let (runtime, control) = daemon(&path);
    let mode = std::fs::metadata(&socket).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    let clients: Vec<_> = (0..40)
        .map(|_| {
            let path = Arc::clone(&path);
            std::thread::spawn(move || told(&path))
        })
        .collect();
    for client in clients {
        assert_eq!(client.join().unwrap(), "List");
    }
    drop(control);
    drop(runtime);
    assert!(!socket.exists(), "nothing is left behind");
}

#[cfg(unix)]
#[test]
fn a_long_path_will_do() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("x".repeat(120)).join("y".repeat(120));
    let _held = Store::open(&path, clock::now()).unwrap();
    let (_runtime, _control) = daemon(&path);
    assert_eq!(told(&path), "List");
}

#[cfg(unix)]
#[test]
fn what_is_no_wish_is_refused_and_holds_up_nobody() {
    use std::io::Read as _;
    use std::io::Write as _;
    use std::os::unix::net::UnixStream;
    let folder = tempfile::tempdir().unwrap();
    let _held = Store::open(folder.path(), clock::now()).unwrap();
    let (_runtime, _control) = daemon(folder.path());
    let connect = || UnixStream::connect(folder.path().join(SOCKET)).unwrap();
    let said = |text: &[u8]| {
        let mut stream = connect();
        // It may hang up before it has heard all of it.
        let _ = stream.write_all(text);
        let _ = stream.shutdown(std::net::Shutdown::Write);
        let mut answer = String::new();
        let _ = stream.read_to_string(&mut answer);
        answer
    };
    let _silent = connect();
    assert!(said(b"{\"drop\":\"everything\"}\n").contains("same version"));
    assert!(said(b"\"list\"").contains("one line"), "cut off");
    assert!(!said("x".repeat(70_000).as_bytes()).contains("done"));
    assert_eq!(said(b""), "");
    assert_eq!(told(folder.path()), "List");
}
