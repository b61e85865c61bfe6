//! The other end of a connection: one that sends any bytes.

use super::job::IDS;
use super::judged::{Agreed, frames};
use super::process::{Fault, RECEIVERS};
use super::random::Random;
use super::rule;
use super::script::Script;
use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use sha1::{Digest, Sha1};
use std::net::SocketAddr;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use wsguard::frame::{Sender, Window};

/// What a client may offer, and a library can agree to, but for one parameter.
pub fn random_offer(random: &mut Random, spared: &str) -> String {
    let mut offer = "permessage-deflate".to_owned();
    for parameter in ["client_no_context_takeover", "server_no_context_takeover"] {
        if random.chance(30) && parameter != spared {
            offer.push_str("; ");
            offer.push_str(parameter);
        }
    }
    match random.below(4) {
        0 => offer.push_str("; client_max_window_bits"),
        1 => offer.push_str(&format!("; client_max_window_bits={}", random.between(9, 15))),
        _ => {}
    }
    offer
}

/// A server's answer to this offer: what it asks for, and more at random.
fn random_answer(offer: &str, random: &mut Random, spared: &str) -> String {
    let mut answer = "permessage-deflate".to_owned();
    let offered = |name: &str| {
        let first = offer.split(',').next().unwrap();
        let mut parameters = first.split(';').map(|parameter| parameter.trim().split('='));
        parameters.find_map(|mut words| {
            (words.next() == Some(name)).then(|| words.next().unwrap_or_default().to_owned())
        })
    };
    for name in ["server_no_context_takeover", "client_no_context_takeover"] {
        if offered(name).is_some() || random.chance(25) && name != spared {
            answer.push_str(&format!("; {name}"));
        }
    }
    let most = offered("server_max_window_bits").map(|bits| bits.parse().unwrap_or(15));
    if most.is_some() || random.chance(40) {
        let bits = random.between(9, most.unwrap_or(15));
        answer.push_str(&format!("; server_max_window_bits={bits}"));
    }
    answer
}

/// What an answer says about one direction.
pub fn window(answer: &str, sender: Sender) -> Window {
    let name = sender.name();
    let mut window = Window::DEFAULT;
    for parameter in answer.split(';').map(str::trim) {
        if parameter == format!("{name}_no_context_takeover") {
            window.takeover = false;
        }
        if let Some(bits) = parameter.strip_prefix(&format!("{name}_max_window_bits=")) {
            window.bits = bits.parse().unwrap();
        }
    }
    window
}

/// A head, and what came behind it.
async fn head(stream: &mut TcpStream) -> Option<(String, Vec<u8>)> {
    let mut all = Vec::new();
    loop {
        if let Some(at) = all.windows(4).position(|part| part == b"\r\n\r\n") {
            let rest = all.split_off(at + 4);
            return Some((String::from_utf8_lossy(&all).into_owned(), rest));
        }
        stream.read_buf(&mut all).await.ok().filter(|read| *read > 0)?;
    }
}

fn header(head: &str, name: &str) -> Option<String> {
    head.lines().find_map(|line| {
        let (found, value) = line.split_once(':')?;
        found.eq_ignore_ascii_case(name).then(|| value.trim().to_owned())
    })
}

/// What was sent on a connection.
pub struct Sent {
    pub agreed: Agreed,
    pub script: Script,
}

/// A client of `address` that says what `script` makes of the agreed parameters.
pub async fn client(
    address: SocketAddr,
    id: u64,
    offer: String,
    script: impl FnOnce(Window) -> Script,
) -> Result<Sent, String> {
    let mut stream = TcpStream::connect(address).await.map_err(|error| error.to_string())?;
    let _ = stream.set_nodelay(true);
    let path = super::path(id);
    let request = format!(
        "GET {path} HTTP/1.1\r\nhost: chat.example.com\r\nupgrade: websocket\r\n\
         connection: Upgrade\r\nsec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\n\
         sec-websocket-version: 13\r\nsec-websocket-extensions: {offer}\r\n\r\n"
    );
    stream.write_all(request.as_bytes()).await.map_err(|error| error.to_string())?;
    let (head, rest) = head(&mut stream).await.ok_or("no answer to the upgrade")?;
    let answer = header(&head, "sec-websocket-extensions");
    let answer = answer.ok_or_else(|| format!("no permessage-deflate: {head}"))?;
    let script = script(window(&answer, Sender::Client));
    converse(stream, rest, &script, Sender::Client).await;
    Ok(Sent { agreed: Agreed { offer, answer }, script })
}

/// A server's end of one connection; its id.
pub async fn server(mut stream: TcpStream, seed: u64) -> Option<(u64, Sent)> {
    let _ = stream.set_nodelay(true);
    let (head, rest) = head(&mut stream).await?;
    let id: u64 = head.split_once("id=")?.1.split(' ').next()?.parse().ok()?;
    let receiver = RECEIVERS.get((id / IDS) as usize)?;
    let mut random = Random::of(seed, id);
    let offer = header(&head, "sec-websocket-extensions")?;
    let answer = random_answer(&offer, &mut random, receiver.spared(Sender::Server));
    let key = header(&head, "sec-websocket-key")?;
    let digest = Sha1::digest(format!("{key}258EAFA5-E914-47DA-95CA-C5AB0DC85B11"));
    let accept = BASE64_STANDARD.encode(digest);
    let response = format!(
        "HTTP/1.1 101 Switching Protocols\r\nupgrade: websocket\r\nconnection: Upgrade\r\n\
         sec-websocket-accept: {accept}\r\nsec-websocket-extensions: {answer}\r\n\r\n"
    );
    stream.write_all(response.as_bytes()).await.ok()?;
    let window = window(&answer, Sender::Server);
    let mixed = !receiver.has(Fault::Mixed);
    let script = Script::random(Sender::Server, window, rule(id), mixed, &mut random);
    converse(stream, rest, &script, Sender::Server).await;
    Some((id, Sent { agreed: Agreed { offer, answer }, script }))
}

/// Says everything, and reads until the other end has closed.
async fn converse(stream: TcpStream, rest: Vec<u8>, script: &Script, sender: Sender) {
    let (mut reader, mut writer) = stream.into_split();
    let mut unread = rest;
    let is_over = {
        let mut listening = std::pin::pin!(until_close(&mut reader, &mut unread));
        tokio::select! {
            () = &mut listening => true,
            () = say(&mut writer, script) => false,
        }
    };
    if is_over {
        // The answer to a Close that came first.
        let key = (sender == Sender::Client).then_some([5, 6, 7, 8]);
        let _ = writer.write_all(&super::rig::raw(0x88, &1000_u16.to_be_bytes(), key)).await;
    } else {
        until_close(&mut reader, &mut unread).await;
    }
    if sender == Sender::Server {
        let _ = writer.shutdown().await;
    }
    while reader.read_buf(&mut unread).await.is_ok_and(|read| read > 0) {
        unread.clear();
    }
}

async fn say(writer: &mut OwnedWriteHalf, script: &Script) {
    for write in &script.writes {
        if write.pause_ms > 0 {
            tokio::time::sleep(Duration::from_millis(write.pause_ms)).await;
        }
        if writer.write_all(&write.bytes).await.is_err() {
            return;
        }
    }
}

/// Reads until a Close has come, or the end.
async fn until_close(reader: &mut OwnedReadHalf, unread: &mut Vec<u8>) {
    loop {
        let mut closed = false;
        let length = frames(unread, |first, _| closed |= first & 0x0F == 8);
        unread.drain(..length);
        if closed || !reader.read_buf(unread).await.is_ok_and(|read| read > 0) {
            return;
        }
    }
}
