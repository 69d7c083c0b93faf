//! Broken and foreign storages, on real sockets, each saying a few bytes that were written down before.

use super::*;
use minor_protocol::{Request, StorageId};
use std::{
    io::{Read, Write},
    net::{SocketAddr, TcpListener},
    thread,
};

/// Somebody who answers each connection with the next of these, and then hangs up. Gives what was asked.
fn somebody(answers: Vec<Vec<u8>>) -> (SocketAddr, thread::JoinHandle<Vec<String>>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let heard = thread::spawn(move || {
        let mut heard = vec![];
        for answer in answers {
            let (mut stream, _) = listener.accept().unwrap();
            let mut asked = vec![0; 64 << 10];
            let length = stream.read(&mut asked).unwrap();
            heard.push(String::from_utf8_lossy(&asked[..length]).into_owned());
            let _ = stream.write_all(&answer);
        }
        heard
    });
    (address, heard)
}

fn ask() -> Ask {
    Ask { storage: None, ring: None, starts: 0, requests: vec![Request::Hello] }
}

fn asked(address: SocketAddr, token: Option<&str>) -> Result<Answers, Silence> {
    let token = token.and_then(Token::new);
    actix_rt::Runtime::new().unwrap().block_on(async move {
        HttpTransport::new(token.as_ref()).ask(&address.to_string(), ask()).await
    })
}

fn said(head: &str, body: &[u8]) -> Vec<u8> {
    let head = format!("HTTP/1.1 {head}\r\nContent-Length: {}\r\n\r\n", body.len());
    [head.as_bytes(), body].concat()
}

fn garbled(answer: Vec<u8>) -> String {
    let (address, _) = somebody(vec![answer]);
    match asked(address, None) {
        Err(Silence::Garbled(why)) => why,
        other => panic!("{other:?}"),
    }
}

#[test]
fn answers_come_back_as_they_were_said() {
    let answers = Answers { storage: StorageId(7), starts: 3, answers: vec![] };
    let head = "200 OK\r\nContent-Type: application/cbor";
    let (address, heard) = somebody(vec![said(head, &wire::encode(&answers))]);
    assert_eq!(asked(address, Some("secret")), Ok(answers));
    let heard = heard.join().unwrap().concat().to_lowercase();
    assert!(heard.starts_with("post /v1/ask http/1.1"), "{heard}");
    assert!(heard.contains("authorization: bearer secret"), "{heard}");
    assert!(heard.contains("content-type: application/cbor"), "{heard}");
}

#[test]
fn a_307_is_not_followed() {
    let answers = Answers { storage: StorageId(7), starts: 3, answers: vec![] };
    let (elsewhere, _) = somebody(vec![said("200 OK", &wire::encode(&answers))]);
    let head = format!("307 Temporary Redirect\r\nLocation: http://{elsewhere}/v1/ask");
    assert!(garbled(said(&head, b"")).starts_with("307"));
}

#[test]
fn a_refusal_is_quoted() {
    let problem = |status: &str, detail: &str| {
        let head = format!("{status}\r\nContent-Type: application/problem+json");
        said(&head, format!(r#"{{"title":"no","detail":"{detail}"}}"#).as_bytes())
    };
    let why = garbled(problem("500 Internal Server Error", "the disk is gone"));
    assert_eq!(why, "500 Internal Server Error: the disk is gone");
    // Only who asked can mend this one: it is told apart.
    let (address, _) = somebody(vec![problem("401 Unauthorized", "show a token")]);
    let heard = asked(address, None);
    assert_eq!(heard, Err(Silence::NotAllowed("401 Unauthorized: show a token".into())));
}

#[test]
fn too_much_is_not_read() {
    let head = "200 OK\r\nContent-Type: application/cbor\r\n";
    let claimed = format!("HTTP/1.1 {head}Content-Length: 99999999999\r\n\r\n");
    assert!(garbled(claimed.into()).contains("longer than"));
    let mut chunked = format!("HTTP/1.1 {head}Transfer-Encoding: chunked\r\n\r\n").into_bytes();
    for _ in 0..9 {
        chunked.extend_from_slice(b"100000\r\n");
        chunked.extend_from_slice(&vec![0; 1 << 20]);
        chunked.extend_from_slice(b"\r\n");
    }
    assert!(garbled(chunked).contains("longer than"));
}

#[test]
fn a_page_for_people_is_no_answer() {
    let why = garbled(said("200 OK\r\nContent-Type: text/html", b"<p>welcome"));
    assert!(why.contains("content type"), "{why}");
    let why = garbled(said("200 OK\r\nContent-Type: application/cbor", b"\xff"));
    assert!(why.contains("malformed"), "{why}");
}

#[test]
fn nobody_there_is_silence() {
    let unused = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    assert!(matches!(asked(unused, None), Err(Silence::Unreachable(_))));
}

#[test]
fn an_address_is_a_host_and_a_port() {
    for good in ["127.0.0.1:8000", "[::1]:8000", "storage-1.example:80"] {
        assert!(place_of(good).is_some(), "{good}");
    }
    for bad in ["", "localhost", "h:0", "h:80/x", "u@h:80", "http://h:80", "h:99999", "h :80"] {
        assert!(place_of(bad).is_none(), "{bad}");
    }
}

#[test]
fn a_token_is_never_shown() {
    let token = Token::new(" secret\n").unwrap();
    assert_eq!(format!("{token:?}"), "Token(..)");
    assert_eq!(Token::new("two words"), None);
}
