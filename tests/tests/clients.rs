//! Programs that know nothing of us, at the door: what a language's own HTTP does by itself must be enough.
//!
//! Each writes, reads, meets a precondition, lists, and deletes. curl has a story of its own, in `door`.

use sdht_tests::{command::Home, door::Door, http::Call, process, skip, skip_but_in_ci};
use std::process::Command;

const PYTHON: &str = r#"
import json, sys, urllib.error, urllib.parse, urllib.request as u
door = sys.argv[1]
key = door + '/v1/kv/' + urllib.parse.quote('snake / größe', safe='')
def ask(method, data=None, url=key, **more):
    try:
        with u.urlopen(u.Request(url, data=data, method=method, headers=more)) as answer:
            return answer.status, answer.read(), answer.headers
    except urllib.error.HTTPError as no:
        return no.code, no.read(), no.headers
status, _, headers = ask('PUT', b'of python', **{'Content-Type': 'text/plain'})
assert status == 201, status
assert ask('GET')[:2] == (200, b'of python')
assert ask('PUT', b'other', **{'If-Match': headers['ETag']})[0] == 204
assert ask('PUT', b'late', **{'If-Match': headers['ETag']})[0] == 412
names = [json.loads(line)['key'] for line in ask('GET', url=door + '/v1/kv?prefix=snake')[1].splitlines()]
assert names == ['snake / größe'], names
batch = b'{"op":"get","key":"snake / gr\xc3\xb6\xc3\x9fe"}\n'
status, body, _ = ask('POST', batch, door + '/v1/batch', **{'Content-Type': 'application/x-ndjson'})
assert status == 200 and json.loads(body)['value'] == 'other', body
long = bytes(range(256)) * 4096
assert ask('PUT', long)[0] == 204 and ask('GET')[1] == long
assert ask('DELETE')[0] == 204 and ask('GET')[0] == 404
"#;

const NODE: &str = r#"
const assert = require('assert');
const door = process.argv[1];
const key = door + '/v1/kv/' + encodeURIComponent('a key / größe');
(async () => {
    const put = await fetch(key, { method: 'PUT', body: 'of fetch' });
    assert.strictEqual(put.status, 201);
    assert.strictEqual(await (await fetch(key)).text(), 'of fetch');
    const tag = { 'If-Match': put.headers.get('etag') };
    assert.strictEqual((await fetch(key, { method: 'PUT', body: 'other', headers: tag })).status, 204);
    assert.strictEqual((await fetch(key, { method: 'PUT', body: 'late', headers: tag })).status, 412);
    const list = (await (await fetch(door + '/v1/kv')).text()).trim().split('\n').map(JSON.parse);
    assert.deepStrictEqual(list, [{ key: 'a key / größe' }]);
    const long = new Uint8Array(1 << 20).map((_, n) => n % 251);
    assert.strictEqual((await fetch(key, { method: 'PUT', body: long })).status, 204);
    assert.deepStrictEqual(new Uint8Array(await (await fetch(key)).arrayBuffer()), long);
    const part = await fetch(key, { headers: { Range: 'bytes=250-252' } });
    assert.deepStrictEqual([...new Uint8Array(await part.arrayBuffer())], [250, 0, 1]);
    assert.strictEqual((await fetch(key, { method: 'DELETE' })).status, 204);
    assert.strictEqual((await fetch(key)).status, 404);
})().catch(why => { console.error(why); process.exit(1); });
"#;

const WGET: &str = r#"
set -eu
key=$1/v1/kv/by-wget
wget -q -O - --method=PUT --body-data='of wget' "$key"
[ "$(wget -q -O - "$key")" = 'of wget' ]
[ "$(wget -q -O - "$1/v1/kv?prefix=by-")" = '{"key":"by-wget"}' ]
wget -q -O - --method=DELETE "$key"
! wget -q -O - "$key"
"#;

const GO: &str = r#"
package main

import (
	"bytes"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"strings"
)

var key = os.Args[1] + "/v1/kv/" + url.PathEscape("a gopher / größe")

func ask(method string, body []byte, want int, more ...string) ([]byte, http.Header) {
	request, err := http.NewRequest(method, key, bytes.NewReader(body))
	for n := 0; n+1 < len(more); n += 2 {
		request.Header.Set(more[n], more[n+1])
	}
	answer, err := http.DefaultClient.Do(request)
	must(err == nil, method, err)
	defer answer.Body.Close()
	said, err := io.ReadAll(answer.Body)
	must(err == nil && answer.StatusCode == want, method, answer.Status, err, string(said))
	return said, answer.Header
}

func must(so bool, why ...any) {
	if !so {
		fmt.Fprintln(os.Stderr, why...)
		os.Exit(1)
	}
}

func main() {
	_, head := ask("PUT", []byte("of go"), 201, "If-None-Match", "*")
	said, _ := ask("GET", nil, 200)
	must(string(said) == "of go", said)
	ask("PUT", []byte("late"), 412, "If-None-Match", "*")
	ask("PUT", []byte("other"), 204, "If-Match", head.Get("ETag"))
	ask("PUT", []byte("late"), 412, "If-Match", head.Get("ETag"))
	long := bytes.Repeat([]byte("0123456789abcdef"), 65536)
	ask("PUT", long, 204)
	said, _ = ask("GET", nil, 200)
	must(bytes.Equal(said, long), len(said))
	said, head = ask("GET", nil, 206, "Range", "bytes=1048570-")
	must(string(said) == "abcdef", string(said))
	must(strings.HasPrefix(head.Get("Content-Range"), "bytes 1048570-1048575/1048576"), head)
	ask("DELETE", nil, 204)
	ask("GET", nil, 404)
}
"#;

fn door() -> (Home, tempfile::TempDir, process::Process, Door) {
    let (dir, storage) = process::fresh();
    let (home, address) = (Home::default(), storage.address().to_string());
    home.ends(0, &["join", &address]);
    let door = Door::open(&home, &["--ring", &address]);
    (home, dir, storage, door)
}

/// Has a program, which is told where the door is, do what it does; false if it is not here.
fn does(needed: &str, line: &[&str]) -> bool {
    // One of them has a verb where the others have a flag.
    let version = if needed == "go" { "version" } else { "--version" };
    let version = Command::new(needed).arg(version).output();
    if !version.is_ok_and(|out| out.status.success()) {
        return false;
    }
    let (_home, _dir, _storage, door) = door();
    let out = Command::new(line[0]).args(&line[1..]).arg(door.at("")).output().unwrap();
    assert!(out.status.success(), "{needed}: {}", String::from_utf8_lossy(&out.stderr));
    let left = door.call(&Call::get("/v1/kv")).text();
    assert_eq!(left, "", "{needed} has deleted what it wrote");
    true
}

#[test]
fn python_needs_nothing_but_what_it_comes_with() {
    if !does("python3", &["python3", "-c", PYTHON]) {
        skip_but_in_ci("python3 is not here");
    }
}

#[test]
fn fetch_of_javascript_is_enough() {
    if !does("node", &["node", "-e", NODE]) {
        skip("node is not here");
    }
}

#[test]
fn wget_is_enough() {
    if !does("wget", &["sh", "-c", WGET, "sh"]) {
        skip("wget is not here");
    }
}

#[test]
fn net_http_of_go_is_enough() {
    let dir = tempfile::tempdir().unwrap();
    let program = dir.path().join("main.go");
    std::fs::write(&program, GO).unwrap();
    if !does("go", &["go", "run", program.to_str().unwrap()]) {
        skip("go is not here");
    }
}
