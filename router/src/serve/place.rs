//! What a request is about, read off its path; and the one table of all there is, which `/openapi.json` shows to programs.

use super::window::wish::What;
use actix_web::http::Method;
use minor_manners::guard::About;
use minor_protocol::limits::COPIES;
use serde_json::{Value, json};

/// One of the few things there are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Place<'a> {
    /// `/v1/kv/…`: one key, as it was sent.
    Key(&'a str),
    /// `/v1/kv`: all keys.
    Keys,
    /// `/v1/batch`
    Batch,
    /// `/v1/whereis/…`: who keeps a key.
    WhereIs(&'a str),
    /// `/v1/ring`
    Ring,
    /// `/`: the page for people.
    Page,
    /// `/page.js`
    Script,
    /// `/page.css`
    Style,
    /// `/v1/events`
    Events,
    /// `/v1/ring/join`, and the other changes of the ring beside it.
    Change(What),
    /// `/v1/ring/stop`
    Stop,
    /// `/livez`
    Live,
    /// `/readyz`
    Ready,
    /// `/metrics`
    Metrics,
    /// `/openapi.json`
    OpenApi,
    /// Nothing of ours.
    Nowhere,
}

/// A place, its path, the methods that mean something there, each with what it does.
type Row = (Place<'static>, &'static str, &'static str, &'static [(&'static str, &'static str)]);

const TABLE: &[Row] = &[
    (
        Place::Key(""),
        "/v1/kv/{key}",
        "GET, HEAD, PUT, DELETE",
        &[
            ("get", "The value; Range takes a part of it, If-None-Match spares what is known"),
            ("head", "What is known of the value, all of it: Range is for GET"),
            ("put", "Sets it; If-Match and If-None-Match: * are atomic, Sdht-Ttl takes seconds"),
            ("delete", "Deletes it; If-Match is atomic"),
        ],
    ),
    (
        Place::Keys,
        "/v1/kv",
        "GET",
        &[("get", "The keys as NDJSON, in the order of the ring: prefix, after, limit")],
    ),
    (
        Place::Batch,
        "/v1/batch",
        "POST",
        &[("post", "Many operations as NDJSON or as a CBOR list, and as many answers")],
    ),
    (
        Place::WhereIs(""),
        "/v1/whereis/{key}",
        "GET, HEAD",
        &[("get", "Who keeps a key; with check=1, what each of them holds of it")],
    ),
    (Place::Ring, "/v1/ring", "GET, HEAD", &[("get", "The arcs and who keeps them")]),
    (
        Place::Change(What::Join),
        "/v1/ring/join",
        "POST",
        &[("post", "A storage joins; with plan, only what that would move is told")],
    ),
    (
        Place::Change(What::Remove),
        "/v1/ring/remove",
        "POST",
        &[("post", "A storage leaves; with plan, only what that would move is told")],
    ),
    (
        Place::Change(What::Copies),
        "/v1/ring/copies",
        "POST",
        &[("post", "More or fewer copies are kept; with plan, only what that would move is told")],
    ),
    (
        Place::Change(What::Balance),
        "/v1/ring/balance",
        "POST",
        &[("post", "Storages keep even shares; with plan, only what that would move is told")],
    ),
    (
        Place::Change(What::Repair),
        "/v1/ring/repair",
        "POST",
        &[(
            "post",
            "What is half done is finished, copies are made alike, what is dead goes; with plan, only what would move is told",
        )],
    ),
    (
        Place::Stop,
        "/v1/ring/stop",
        "POST",
        &[(
            "post",
            "The change that was begun at this door stops; the same again, or repair, goes on from there",
        )],
    ),
    (
        Place::Events,
        "/v1/events",
        "GET",
        &[("get", "The ring as it is, told anew every second, as server-sent events")],
    ),
    (Place::Page, "/", "GET, HEAD", &[("get", "A page for people")]),
    (Place::Script, "/page.js", "GET, HEAD", &[("get", "Its script")]),
    (Place::Style, "/page.css", "GET, HEAD", &[("get", "Its style")]),
    (Place::Live, "/livez", "GET, HEAD", &[("get", "The process is there")]),
    (
        Place::Ready,
        "/readyz",
        "GET, HEAD",
        &[("get", "The ring is found; with redundant=1, every arc has all its copies")],
    ),
    (Place::Metrics, "/metrics", "GET, HEAD", &[("get", "Figures for Prometheus")]),
    (Place::OpenApi, "/openapi.json", "GET, HEAD", &[("get", "This description")]),
];

impl<'a> Place<'a> {
    /// The place of a path as it was sent, not yet decoded.
    pub(super) fn of(path: &'a str) -> Self {
        if let Some(name) = path.strip_prefix("/v1/kv/") {
            return Self::Key(name);
        }
        if let Some(name) = path.strip_prefix("/v1/whereis/") {
            return Self::WhereIs(name);
        }
        let row = TABLE.iter().find(|(_, known, ..)| *known == path && !known.contains('{'));
        row.map_or(Self::Nowhere, |(place, ..)| *place)
    }

    /// The methods that mean something there.
    pub(super) fn allows(self) -> &'static str {
        let is_it =
            |(place, ..): &&Row| std::mem::discriminant(place) == std::mem::discriminant(&self);
        TABLE.iter().find(is_it).map_or("", |(_, _, allows, _)| allows)
    }

    /// What a guard is to know of it.
    pub(super) fn about(self) -> About {
        match self {
            Self::Live => About::BeingAlive,
            Self::Page | Self::Script | Self::Style => About::Program,
            _ => About::Content,
        }
    }

    /// What a change of the ring is told in, as JSON Schema.
    fn wish(self) -> Option<Value> {
        let address = || json!({"type": "string", "description": "HOST:PORT"});
        let (needed, more) = match self {
            Self::Change(What::Join) => (Some(("address", address())), None),
            Self::Change(What::Remove) => {
                let dead = json!({"type": "boolean", "description": "It never comes back"});
                (Some(("address", address())), Some(("dead", dead)))
            }
            Self::Change(What::Copies) => {
                let copies = json!({"type": "integer", "minimum": 1, "maximum": COPIES});
                (Some(("copies", copies)), None)
            }
            Self::Change(What::Balance | What::Repair) | Self::Stop => (None, None),
            _ => return None,
        };
        let plan = json!({"type": "boolean", "description": "Only what would move is told"});
        let plan = (self != Self::Stop).then_some(("plan", plan));
        let required: Vec<&str> = needed.iter().map(|(name, _)| *name).collect();
        let fields = needed.into_iter().chain(more).chain(plan);
        let fields: serde_json::Map<String, Value> =
            fields.map(|(name, schema)| (name.into(), schema)).collect();
        Some(json!({
            "type": "object",
            "properties": fields,
            "required": required,
            "additionalProperties": false,
        }))
    }

    /// What a request may say beside its path.
    fn takes(self, method: &str) -> &'static [Parameter] {
        match (self, method) {
            (Self::Key(_), "get") => &[RANGE, IF_RANGE, IF_MATCH_TO_GET, IF_NONE_MATCH_TO_GET],
            (Self::Key(_), "head") => &[IF_MATCH_TO_GET, IF_NONE_MATCH_TO_GET],
            (Self::Key(_), "put") => &[IF_MATCH, IF_NONE_MATCH, TTL],
            (Self::Key(_), "delete") => &[IF_MATCH],
            (Self::Keys, _) => &[PREFIX, AFTER, LIMIT],
            (Self::WhereIs(_), _) => &[CHECK],
            (Self::Ready, _) => &[REDUNDANT],
            _ => &[],
        }
    }

    /// What it counts as.
    pub(super) fn operation(self, method: &Method) -> usize {
        match (self, method) {
            (Self::Key(_), &Method::PUT) => 1,
            (Self::Key(_), &Method::DELETE) => 2,
            (Self::Key(_), _) => 0,
            (Self::Keys, _) => 3,
            (Self::Batch, _) => 4,
            _ => 5,
        }
    }
}

/// Its name, where it stands, what it is in JSON Schema, and what it does.
type Parameter = (&'static str, &'static str, &'static str, &'static str);

const RANGE: Parameter = ("Range", "header", "string", "bytes=FROM-TO, from 0, both included: 206");
const IF_RANGE: Parameter = ("If-Range", "header", "string", "A tag: the range, if it is this one");
const IF_MATCH_TO_GET: Parameter =
    ("If-Match", "header", "string", "Tags: 412 unless it is one of these");
const IF_NONE_MATCH_TO_GET: Parameter =
    ("If-None-Match", "header", "string", "Tags: 304 if it is one of these");
const IF_MATCH: Parameter =
    ("If-Match", "header", "string", "One tag, or * for any value: 412 unless it is this one");
const IF_NONE_MATCH: Parameter =
    ("If-None-Match", "header", "string", "*: 412 if there is a value");
const TTL: Parameter =
    ("Sdht-Ttl", "header", "integer", "Seconds after which it vanishes, at least 1");
const PREFIX: Parameter = ("prefix", "query", "string", "How the keys begin");
const AFTER: Parameter =
    ("after", "query", "string", "Goes on behind this key: the last one that was listed");
const LIMIT: Parameter =
    ("limit", "query", "integer", "Lines at the most; without it all keys are listed");
const CHECK: Parameter = ("check", "query", "integer", "1: each storage is asked what it holds");
const REDUNDANT: Parameter =
    ("redundant", "query", "integer", "1: ready only if any storage may stop without harm");

/// One of them, as OpenAPI describes it.
fn parameter((name, place, kind, what): &Parameter) -> Value {
    json!({"name": name, "in": place, "description": what, "schema": {"type": kind}})
}

/// The names of what requests count as.
pub(super) const OPERATIONS: [&str; 6] = ["get", "set", "delete", "list", "batch", "other"];

/// All of it as OpenAPI describes it.
pub(super) fn open_api() -> Value {
    let mut paths = serde_json::Map::new();
    for (place, path, _, methods) in TABLE {
        let mut item = serde_json::Map::new();
        for (method, summary) in *methods {
            let problem = json!({"description": "A problem of RFC 9457"});
            let responses = json!({"2XX": {"description": "Done"}, "4XX": problem, "5XX": problem});
            let mut said = json!({"summary": summary, "responses": responses});
            let parameters: Vec<Value> = place.takes(method).iter().map(parameter).collect();
            if parameters.iter().any(|parameter| parameter["name"] == "If-None-Match")
                && ["get", "head"].contains(method)
            {
                said["responses"]["304"] = json!({"description": "It is what is known already"});
            }
            if !parameters.is_empty() {
                said["parameters"] = parameters.into();
            }
            if let Some(wish) = place.wish() {
                let content = json!({"application/json": {"schema": wish}});
                said["requestBody"] = json!({"required": true, "content": content});
            }
            item.insert((*method).into(), said);
        }
        if path.contains("{key}") {
            let schema = json!({"type": "string", "maxLength": minor_protocol::limits::KEY_BYTES});
            let key = json!({"name": "key", "in": "path", "required": true, "schema": schema});
            item.insert("parameters".into(), json!([key]));
        }
        paths.insert((*path).into(), item.into());
    }
    let info = json!({"title": "sdht", "version": env!("CARGO_PKG_VERSION")});
    json!({"openapi": "3.1.0", "info": info, "paths": paths})
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_row_is_found_by_its_path() {
        for (place, path, allows, methods) in TABLE {
            let found = Place::of(path.trim_end_matches("{key}"));
            assert_eq!((found, found.allows()), (*place, *allows), "{path}");
            for (method, _) in *methods {
                assert!(allows.split(", ").any(|one| one.eq_ignore_ascii_case(method)), "{path}");
            }
        }
        let wish = &open_api()["paths"]["/v1/ring/copies"]["post"]["requestBody"];
        let schema = &wish["content"]["application/json"]["schema"];
        assert_eq!(
            (&schema["required"], schema["additionalProperties"] == false),
            (&json!(["copies"]), true)
        );
        let of = |path: &str, method: &str| {
            let said = &open_api()["paths"][path][method];
            let names = said["parameters"].as_array().cloned().unwrap_or_default();
            let names: Vec<String> =
                names.iter().map(|one| one["name"].as_str().unwrap_or_default().into()).collect();
            (names.join(" "), said["responses"]["304"].is_object())
        };
        assert_eq!(
            of("/v1/kv/{key}", "get"),
            ("Range If-Range If-Match If-None-Match".into(), true)
        );
        assert_eq!(of("/v1/kv/{key}", "put"), ("If-Match If-None-Match Sdht-Ttl".into(), false));
        assert_eq!(of("/v1/kv", "get"), ("prefix after limit".into(), false));
        assert_eq!(of("/readyz", "get"), ("redundant".into(), false));
        assert_eq!(Place::of("/v1/kvx"), Place::Nowhere);
        assert_eq!(Place::of("/v1/kv/{key}"), Place::Key("{key}"));
    }
}
