//! A storage in no ring is a plain key/value store: what curl sees of it, one story per promise of its HTTP face.

use sdht_tests::{
    http::{Call, Reply, Wanted, target},
    process::{Process, fresh},
    wait_until,
};
use std::{collections::BTreeSet, time::Duration};

const VALUE_LIMIT: usize = 64 << 10;

#[test]
fn a_value_put_is_got_back_and_each_put_has_its_own_tag() {
    let (_dir, storage) = fresh();
    let put = storage.call(&Call::put("/v1/kv/a/b", "one"));
    assert_eq!(put.status, 201, "{put:?}");
    let first = tag(&put);

    let again = storage.call(&Call::put("/v1/kv/a/b", "two"));
    assert_eq!(again.status, 204, "{again:?}");
    assert_ne!(tag(&again), first, "another value has another tag");

    let got = storage.call(&Call::get("/v1/kv/a/b"));
    assert_eq!((got.status, got.text().as_str()), (200, "two"));
    assert_eq!(tag(&got), tag(&again));
    assert!(got.header("last-modified").is_some_and(|time| time.ends_with(" GMT")), "{got:?}");
    let absent = storage.call(&Call::get("/v1/kv/a"));
    assert_eq!(absent.status, 404, "{absent:?}");
}

#[test]
fn head_answers_as_get_without_the_body() {
    let (_dir, storage) = fresh();
    put(&storage, "k", "12345");
    let got = storage.call(&Call::get("/v1/kv/k"));
    let mut connection = storage.connect();
    connection.send_call(&Call::new("HEAD", "/v1/kv/k")).unwrap();
    let head = connection.receive(Wanted::Head).unwrap();
    assert_eq!(head.status, 200);
    for name in ["etag", "content-length", "content-type", "last-modified"] {
        assert_eq!(head.header(name), got.header(name), "{name}");
    }
    // Had there been a body, it would stand before the next reply.
    let next = connection.call(&Call::get("/v1/kv/k")).unwrap();
    assert_eq!((next.status, next.text().as_str()), (200, "12345"));
    assert_eq!(storage.call(&Call::new("HEAD", "/v1/kv/absent")).status, 404);
    // Range is for GET, and nobody has to heed it.
    for range in ["bytes=1-3", "bytes=9-"] {
        let head = storage.call(&Call::new("HEAD", "/v1/kv/k").with("range", range));
        let (length, part) = (head.header("content-length"), head.header("content-range"));
        assert_eq!((head.status, length, part), (200, Some("5"), None));
    }
}

#[test]
fn what_is_deleted_is_gone_and_deleting_nothing_is_404() {
    let (_dir, storage) = fresh();
    put(&storage, "k", "v");
    assert_eq!(storage.call(&Call::delete("/v1/kv/k")).status, 204);
    assert_eq!(storage.call(&Call::get("/v1/kv/k")).status, 404);
    assert_eq!(storage.call(&Call::delete("/v1/kv/k")).status, 404);
    assert_eq!(storage.call(&Call::put("/v1/kv/k", "w")).status, 201, "it is new again");
}

#[test]
fn a_change_happens_only_when_its_condition_holds() {
    let (_dir, storage) = fresh();
    let call = |call: Call| storage.call(&call).status;
    let create = || Call::put("/v1/kv/k", "v").with("if-none-match", "*");
    assert_eq!(call(Call::put("/v1/kv/k", "v").with("if-match", "*")), 412, "nothing is there");
    assert_eq!(call(create()), 201);
    assert_eq!(call(create()), 412);

    let old = tag(&storage.call(&Call::get("/v1/kv/k")));
    let current = storage.call(&Call::put("/v1/kv/k", "w").with("if-match", &old));
    assert_eq!(current.status, 204);
    let current = tag(&current);
    assert_eq!(call(Call::put("/v1/kv/k", "x").with("if-match", &old)), 412);
    assert_eq!(call(Call::put("/v1/kv/k", "x").with("if-match", "\"no such tag\"")), 412);
    assert_eq!(call(Call::delete("/v1/kv/k").with("if-match", &old)), 412);
    assert_eq!(storage.call(&Call::get("/v1/kv/k")).text(), "w", "none of these changed it");
    assert_eq!(call(Call::delete("/v1/kv/k").with("if-match", &current)), 204);
}

#[test]
fn who_knows_the_value_already_is_told_so() {
    let (_dir, storage) = fresh();
    put(&storage, "k", "v");
    let known = tag(&storage.call(&Call::get("/v1/kv/k")));
    let unchanged = storage.call(&Call::get("/v1/kv/k").with("if-none-match", &known));
    assert_eq!((unchanged.status, unchanged.body.len()), (304, 0));
    assert_eq!(tag(&unchanged), known);
    put(&storage, "k", "w");
    let changed = storage.call(&Call::get("/v1/kv/k").with("if-none-match", &known));
    assert_eq!((changed.status, changed.text().as_str()), (200, "w"));
}

#[test]
fn a_key_is_any_text_of_1_to_1024_bytes_percent_decoded_once() {
    let (_dir, storage) = fresh();
    let longest = "k".repeat(1_024);
    for key in ["a/b//c/", "ключ", " ", "%", "100%25", "a+b", "?#&=", ".", "..", "{t}x", &longest]
    {
        let at = if key.chars().all(|c| c == '.') {
            // Dots alone would be taken out of the path by anything that mends paths.
            format!("/v1/kv/{}", key.replace('.', "%2E"))
        } else {
            target(key)
        };
        let put = storage.call(&Call::put(&at, key));
        assert_eq!(put.status, 201, "{key:?} at {at}: {put:?}");
        assert_eq!(storage.call(&Call::get(&at)).text(), key, "{key:?} at {at}");
    }
    assert!(listed(&storage, "").contains("100%25"), "decoded once and not twice");
    let same = storage.call(&Call::get("/v1/kv/a%2Fb%2F/c/"));
    assert_eq!(same.status, 200, "an escaped slash is a slash");

    for (at, status) in [
        ("/v1/kv/".to_owned(), 400),
        (format!("/v1/kv/{longest}k"), 414),
        ("/v1/kv/%FF".to_owned(), 400),
    ] {
        for call in [Call::get(&at), Call::put(&at, "v"), Call::delete(&at)] {
            let refused = storage.call(&call);
            assert_eq!(refused.status, status, "{call:?}: {refused:?}");
        }
    }
}

#[test]
fn the_router_s_own_keys_are_not_written_by_people() {
    let (_dir, storage) = fresh();
    let refused = storage.call(&Call::put("/v1/kv/%00mine", "v"));
    assert_eq!(refused.status, 400, "{refused:?}");
    assert_eq!(storage.call(&Call::get("/v1/kv/%00mine")).status, 404);
}

#[test]
fn a_value_is_any_bytes_up_to_64_kib() {
    let (_dir, storage) = fresh();
    let all: Vec<u8> = (0..VALUE_LIMIT).map(|n| (n * 7 + n / 256) as u8).collect();
    assert_eq!(storage.call(&Call::put("/v1/kv/large", all.clone())).status, 201);
    assert_eq!(storage.call(&Call::get("/v1/kv/large")).body, all);
    assert_eq!(storage.call(&Call::put("/v1/kv/none", "")).status, 201);
    let none = storage.call(&Call::get("/v1/kv/none"));
    assert_eq!((none.status, none.body.len()), (200, 0));

    let over = Call::put("/v1/kv/over", vec![0; VALUE_LIMIT + 1]);
    let refused = storage.call(&over.clone().with("accept", "application/json"));
    assert_eq!(refused.status, 413, "{refused:?}");
    assert!(refused.text().contains("65536"), "the limit is named: {}", refused.text());
    let chunked =
        b"PUT /v1/kv/over HTTP/1.1\r\nhost: localhost\r\ntransfer-encoding: chunked\r\n\r\n";
    let mut connection = storage.connect();
    connection.send(chunked).unwrap();
    let chunk = [format!("{:x}\r\n", 40_000).into_bytes(), vec![b'x'; 40_000], b"\r\n".into()];
    // It may refuse while we still send.
    let _ = connection.send(&chunk.concat()).and_then(|()| connection.send(&chunk.concat()));
    let _ = connection.send(b"0\r\n\r\n");
    assert_eq!(connection.receive(Wanted::Body).unwrap().status, 413, "also without a length");
    assert_eq!(storage.call(&Call::get("/v1/kv/over")).status, 404);
}

#[test]
fn a_content_type_is_echoed_and_never_makes_a_page_of_a_value() {
    let (_dir, storage) = fresh();
    for (kind, shown) in [
        (None, "application/octet-stream"),
        (Some("text/plain; charset=utf-8"), "text/plain; charset=utf-8"),
        (Some("image/png"), "image/png"),
        (Some("text/html"), "text/html"),
    ] {
        let call = Call::put("/v1/kv/k", "<script>alert(1)</script>");
        storage.call(&kind.map_or(call.clone(), |kind| call.clone().with("content-type", kind)));
        let got = storage.call(&Call::get("/v1/kv/k"));
        assert_eq!(got.header("content-type"), Some(shown));
        assert_eq!(got.header("x-content-type-options"), Some("nosniff"));
        let attached =
            got.header("content-disposition").is_some_and(|d| d.starts_with("attachment"));
        let confined =
            got.header("content-security-policy").is_some_and(|csp| csp.contains("sandbox"));
        match kind {
            Some("text/plain; charset=utf-8") => {}
            Some("text/html") => assert!(attached || confined, "a page of our own origin: {got:?}"),
            _ => assert!(attached, "{kind:?}: {got:?}"),
        }
    }
}

#[test]
fn another_method_is_answered_with_those_there_are() {
    let (_dir, storage) = fresh();
    for (method, at, allowed) in [
        ("POST", "/v1/kv/k", &["GET", "HEAD", "PUT", "DELETE"][..]),
        ("PATCH", "/v1/kv/k", &["GET", "HEAD", "PUT", "DELETE"]),
        ("PUT", "/v1/kv", &["GET"]),
        ("GET", "/v1/ask", &["POST"]),
        ("DELETE", "/nodeinfo", &["GET"]),
        ("PUT", "/", &["GET"]),
    ] {
        let refused = storage.call(&Call::new(method, at));
        assert_eq!(refused.status, 405, "{method} {at}: {refused:?}");
        let allow = refused.header("allow").expect("405 has an Allow");
        let given: Vec<_> = allow.split(',').map(str::trim).collect();
        assert!(allowed.iter().all(|method| given.contains(method)), "{method} {at}: {allow}");
    }
    assert_eq!(storage.call(&Call::get("/no/such/place")).status, 404);
}

#[test]
fn an_error_is_a_problem_for_programs_and_one_line_for_people() {
    let (_dir, storage) = fresh();
    let problem = storage.call(&Call::get("/v1/kv/absent").with("accept", "application/json"));
    assert_eq!(problem.header("content-type"), Some("application/problem+json"));
    let said = problem.json();
    assert_eq!(said["status"], 404);
    for field in ["type", "title", "detail", "instance"] {
        assert!(said[field].is_string(), "{field} in {said}");
    }
    let line = storage.call(&Call::get("/v1/kv/absent").with("accept", "text/plain"));
    assert!(line.header("content-type").is_some_and(|kind| kind.starts_with("text/plain")));
    assert_eq!(line.text().lines().count(), 1, "{:?}", line.text());
    assert!(line.text().ends_with('\n') && !line.text().starts_with('{'), "{:?}", line.text());
}

#[test]
fn only_a_request_to_this_very_address_is_served() {
    let (_dir, storage) = fresh();
    put(&storage, "k", "v");
    let port = storage.address().port();
    for host in [format!("127.0.0.1:{port}"), format!("localhost:{port}")] {
        let served = storage.call(&Call::get("/v1/kv/k").with("host", &host));
        assert_eq!(served.status, 200, "{host}: {served:?}");
    }
    // A name of the attacker's that points to us: the page it came from must not read what we keep.
    for host in ["evil.example".to_owned(), format!("evil.example:{port}"), "127.0.0.1.evil".into()]
    {
        for call in [Call::get("/v1/kv/k"), Call::put("/v1/kv/k", "w"), Call::get("/nodeinfo")] {
            let refused =
                storage.call(&call.with("host", &host).with("accept", "application/json"));
            assert!((400..500).contains(&refused.status), "{host}: {refused:?}");
            assert_eq!(refused.json()["status"], refused.status, "{host}");
        }
    }
    let mut nameless = storage.connect();
    nameless.send(b"GET /v1/kv/k HTTP/1.1\r\n\r\n").unwrap();
    let refused = nameless.receive(Wanted::Body).unwrap();
    assert!((400..500).contains(&refused.status), "{refused:?}");
    assert_eq!(storage.call(&Call::get("/v1/kv/k")).text(), "v");
}

#[test]
fn no_page_of_another_site_can_read_or_write() {
    let (_dir, storage) = fresh();
    put(&storage, "k", "v");
    let from_afar = |call: Call| storage.call(&call.with("origin", "https://evil.example"));
    for call in [Call::put("/v1/kv/k", "w"), Call::delete("/v1/kv/k")] {
        let refused = from_afar(call);
        assert!((400..500).contains(&refused.status), "{refused:?}");
    }
    let preflight = Call::new("OPTIONS", "/v1/kv/k").with("access-control-request-method", "PUT");
    for reply in [from_afar(preflight), from_afar(Call::get("/v1/kv/k"))] {
        let opens = reply.head.iter().find(|(name, _)| name.starts_with("access-control"));
        assert_eq!(opens, None, "nothing is opened to other sites");
    }
    // What a page may post without asking first: these types, and no other.
    for simple in ["text/plain", "application/x-www-form-urlencoded", "multipart/form-data", ""] {
        let mut call = Call::post("/v1/ask", "x");
        if !simple.is_empty() {
            call = call.with("content-type", simple);
        }
        assert_eq!(storage.call(&call).status, 415, "{simple:?}");
    }
    assert_eq!(storage.call(&Call::get("/v1/kv/k")).text(), "v");
}

#[test]
fn a_listing_comes_in_pages_and_misses_nothing() {
    let (_dir, storage) = fresh();
    assert_eq!(listed(&storage, ""), BTreeSet::new());
    let fruit: BTreeSet<String> = (0..25).map(|n| format!("fruit/{n}")).collect();
    let all: BTreeSet<String> = fruit.iter().cloned().chain(["herb/ж \"1\"".to_owned()]).collect();
    all.iter().for_each(|key| put(&storage, key, "v"));
    assert_eq!(listed(&storage, "limit=7"), all);
    assert_eq!(listed(&storage, ""), all);
    assert_eq!(listed(&storage, "prefix=fruit%2F&limit=4"), fruit);
    assert_eq!(listed(&storage, "prefix=absent"), BTreeSet::new());
    for odd in ["limit=many", "limit=0", "Limit=3", "limit=3&limit=4"] {
        assert_eq!(storage.call(&Call::get(&format!("/v1/kv?{odd}"))).status, 400, "{odd}");
    }
    let page = storage.call(&Call::get("/v1/kv?limit=3"));
    let kind = page.header("content-type").unwrap_or_default();
    assert!(kind.contains("ndjson"), "{kind}");
    assert_eq!(page.text().lines().count(), 3);
}

#[test]
fn a_storage_says_who_it_is_and_how_it_is() {
    let (_dir, storage) = fresh();
    put(&storage, "k", "v");
    let info = storage.call(&Call::get("/nodeinfo"));
    assert_eq!(info.header("content-type"), Some("application/json"));
    let info = info.json();
    let fields = [
        "id",
        "address",
        "version",
        "format",
        "predecessor",
        "successors",
        "arcs",
        "keys",
        "bytes",
    ];
    for field in fields.into_iter().chain(["disk", "state", "limits"]) {
        assert!(info.get(field).is_some(), "{field} in {info}");
    }
    assert_eq!(info["keys"], 1, "{info}");
    assert_eq!(info["limits"]["value_bytes"], VALUE_LIMIT, "{info}");

    assert_eq!(storage.call(&Call::get("/livez")).status, 200);
    assert_eq!(storage.call(&Call::get("/readyz")).status, 200);
    let metrics = storage.call(&Call::get("/metrics"));
    assert_eq!(metrics.status, 200);
    assert!(metrics.text().lines().any(|line| line.starts_with("# TYPE ")), "{}", metrics.text());
    let page = storage.call(&Call::get("/"));
    assert_eq!(page.status, 200);
    assert!(page.header("content-type").is_some_and(|kind| kind.starts_with("text/html")));
    assert!(page.header("content-security-policy").is_some(), "{page:?}");
}

#[test]
fn a_value_with_a_time_to_live_vanishes() {
    let (_dir, storage) = fresh();
    let brief = storage.call(&Call::put("/v1/kv/brief", "v").with("sdht-ttl", "1"));
    assert_eq!(brief.status, 201, "{brief:?}");
    storage.call(&Call::put("/v1/kv/long", "v").with("sdht-ttl", "3600"));
    put(&storage, "ever", "v");
    let left = |key| storage.call(&Call::get(&target(key))).header("sdht-ttl").map(str::to_owned);
    let long: u64 = left("long").expect("the header comes back").parse().unwrap();
    assert!((3_500..=3_600).contains(&long), "{long} s are left");
    assert_eq!(left("ever"), None);
    wait_until("the value has vanished", Duration::from_secs(5), || {
        storage.call(&Call::get("/v1/kv/brief")).status == 404
    });
    assert!(!listed(&storage, "").contains("brief"));
    assert_eq!(storage.call(&Call::delete("/v1/kv/brief")).status, 404);
    assert_eq!(storage.call(&Call::get("/v1/kv/long")).status, 200);
    for wrong in ["soon", "-1", "1.5"] {
        let refused = storage.call(&Call::put("/v1/kv/k", "v").with("sdht-ttl", wrong));
        assert_eq!(refused.status, 400, "{wrong}: {refused:?}");
    }
}

fn put(storage: &Process, key: &str, value: &str) {
    let put = storage.call(&Call::put(&target(key), value));
    assert!(matches!(put.status, 201 | 204), "{key}: {put:?}");
}

/// The strong tag of a reply.
fn tag(reply: &Reply) -> String {
    let tag = reply.header("etag").unwrap_or_else(|| panic!("no tag: {reply:?}"));
    assert!(tag.len() > 2 && tag.starts_with('"') && tag.ends_with('"'), "{tag} is no strong tag");
    tag.to_owned()
}

/// All keys listed, page by page, each only once.
fn listed(storage: &Process, query: &str) -> BTreeSet<String> {
    let mut all = BTreeSet::new();
    let mut after = String::new();
    loop {
        let page = storage.call(&Call::get(&format!("/v1/kv?{query}{after}")));
        assert_eq!(page.status, 200, "{page:?}");
        let text = page.text();
        let rows = text.lines().map(|row| serde_json::from_str(row).expect("a row is JSON"));
        let keys: Vec<_> = rows.map(|row: serde_json::Value| row["key"].to_string()).collect();
        let Some(last) = keys.last() else { return all };
        let last: String = serde_json::from_str(last).expect("a row has a key");
        let escaped = target(&last).replace("/v1/kv/", "").replace('/', "%2F");
        after = format!("&after={escaped}");
        for key in keys {
            let key: String = serde_json::from_str(&key).expect("a row has a key");
            assert!(all.insert(key.clone()), "{key:?} is listed twice");
        }
    }
}
