//! Three members of etcd on this machine, and a load for them.
//!
//! etcd's own load program is in no package of Debian's, and its way over JSON costs etcd itself more than the work. So the
//! load speaks what etcd's own library speaks, gRPC, by hand: one unary call is one HTTP/2 request whose body is a
//! protobuf of one or two fields. Connections are shared by all calls, eight to each member, as a program would do that
//! wants the most; reads are linearizable, which is etcd's default.

use crate::{Failed, Figure, key, peers::Rival, timed};
use bytes::{BufMut, Bytes, BytesMut};
use h2::client::SendRequest;
use std::{path::Path, process::Command, time::Duration};

/// Connections to each member.
const CONNECTIONS: usize = 8;

/// Starts three members and measures them; none if etcd is not installed.
pub(crate) fn measure(dir: &Path, times: [usize; 2]) -> Result<Option<Vec<Figure>>, Failed> {
    let ports = crate::peers::free_ports(6)?;
    let name = |n: usize| format!("e{n}");
    let at = |n: usize| format!("http://127.0.0.1:{}", ports[n]);
    let cluster: Vec<String> = (0..3).map(|n| format!("{}={}", name(n), at(n + 3))).collect();
    let mut members = vec![];
    for n in 0..3 {
        let mut command = Command::new("etcd");
        command.arg("--name").arg(name(n)).arg("--data-dir").arg(dir.join(name(n)));
        command.args(["--listen-client-urls", &at(n), "--advertise-client-urls", &at(n)]);
        let rival = at(n + 3);
        command.args(["--listen-peer-urls", &rival, "--initial-advertise-peer-urls", &rival]);
        command.args(["--initial-cluster", &cluster.join(","), "--log-level", "error"]);
        let Some(member) = Rival::start(command)? else { return Ok(None) };
        members.push(member);
    }
    actix_rt::Runtime::new()?.block_on(load(&ports[..3], times)).map(Some)
}

async fn load(ports: &[u16], times: [usize; 2]) -> Result<Vec<Figure>, Failed> {
    let mut lines = vec![];
    for n in 0..CONNECTIONS * ports.len() {
        lines.push(connect(ports[n % ports.len()]).await?);
    }
    let line = |n: usize| lines[n % lines.len()].clone();
    // A leader has to be chosen first.
    let mut patience = 100;
    while call(line(0), "Put", put(&key(0))).await.is_err() {
        patience -= 1;
        if patience == 0 {
            return Err("etcd chose no leader".into());
        }
        actix_rt::time::sleep(Duration::from_millis(100)).await;
    }
    let mut figures = vec![];
    for (at_once, times) in [(64, times[0]), (1, times[1])] {
        let set = |n| call(line(n), "Put", put(&key(n)));
        figures.push(timed(format!("set, {at_once} at a time"), times, at_once, &[], set).await?);
        let get = |n| call(line(n), "Range", field(1, key(n).as_bytes()));
        figures.push(timed(format!("get, {at_once} at a time"), times, at_once, &[], get).await?);
    }
    Ok(figures)
}

async fn connect(port: u16) -> Result<SendRequest<Bytes>, Failed> {
    let mut patience = 100;
    let stream = loop {
        match actix_rt::net::TcpStream::connect(("127.0.0.1", port)).await {
            Ok(stream) => break stream,
            Err(why) if patience == 0 => return Err(why.into()),
            Err(_) => patience -= 1,
        }
        actix_rt::time::sleep(Duration::from_millis(100)).await;
    };
    stream.set_nodelay(true)?;
    let (line, connection) = h2::client::handshake(stream).await?;
    actix_rt::spawn(async move { drop(connection.await) });
    Ok(line)
}

/// One unary call, of which only the success matters.
async fn call(line: SendRequest<Bytes>, what: &str, message: Bytes) -> Result<(), Failed> {
    let request = http::Request::post(format!("http://127.0.0.1/etcdserverpb.KV/{what}"))
        .header("content-type", "application/grpc")
        .header("te", "trailers")
        .body(())?;
    let (answer, mut body) = line.ready().await?.send_request(request, false)?;
    let mut frame = BytesMut::with_capacity(5 + message.len());
    frame.put_u8(0);
    frame.put_u32(u32::try_from(message.len())?);
    frame.put(message);
    body.send_data(frame.freeze(), true)?;
    let answer = answer.await?;
    // A call that fails at once has its status in the head.
    let failed = answer.headers().get("grpc-status").is_some_and(|status| status != "0");
    let mut body = answer.into_body();
    while let Some(piece) = body.data().await {
        let piece = piece?;
        body.flow_control().release_capacity(piece.len())?;
    }
    let ends = body.trailers().await?;
    let status = ends.as_ref().and_then(|ends| ends.get("grpc-status"));
    if failed || status.is_none_or(|status| status != "0") {
        return Err(format!("etcd failed to {what}: {status:?}").into());
    }
    Ok(())
}

fn put(key: &str) -> Bytes {
    [field(1, key.as_bytes()), field(2, &[7; 100])].concat().into()
}

/// A field of bytes, shorter than 128, as protobuf has it.
fn field(number: u8, bytes: &[u8]) -> Bytes {
    assert!(bytes.len() < 128, "its length is one byte");
    [&[number << 3 | 2, bytes.len() as u8], bytes].concat().into()
}
