//! What operators are given to watch a ring with: alarms and a dashboard, held against what doors and storages really say.

use sdht_tests::{
    door::Door,
    http::Call,
    rings::{address, ring_of},
    skip_but_in_ci,
};
use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
    process::Command,
};

fn deploy() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../deploy")
}

fn read(name: &str) -> String {
    fs::read_to_string(deploy().join(name)).unwrap_or_else(|why| panic!("{name}: {why}"))
}

/// What a ring of three and a door to it say to Prometheus.
fn served() -> Vec<String> {
    let (home, storages) = ring_of(3);
    let door = Door::open(&home, &["--ring", &address(&storages[0])]);
    assert_eq!(door.call(&Call::put("/v1/kv/key", "value")).status, 201);
    let texts = [
        door.call(&Call::get("/metrics")).text(),
        storages[0].1.call(&Call::get("/metrics")).text(),
    ];
    let lines = texts.iter().flat_map(|text| text.lines());
    lines.filter(|line| !line.starts_with('#')).map(str::to_owned).collect()
}

/// One figure that a rule or a panel names: its name, and the labels that must read exactly so.
type Named = (String, Vec<String>);

/// The figures of ours in an expression.
fn named(expression: &str) -> Vec<Named> {
    let is_name = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_';
    let mut found = vec![];
    let mut rest = expression;
    while let Some(begin) = rest.find(is_name) {
        let word = &rest[begin..];
        let end = word.find(|c| !is_name(c)).unwrap_or(word.len());
        let (name, behind) = word.split_at(end);
        rest = behind;
        if !name.starts_with("sdht_") && !name.starts_with("minor_storage_") {
            continue;
        }
        let inside = behind.strip_prefix('{').and_then(|behind| behind.split_once('}'));
        let matchers = inside.map_or("", |(inside, _)| inside).split(',');
        let exact = matchers.filter(|matcher| {
            matcher.contains("=\"") && !matcher.contains("!=") && !matcher.contains("=~")
        });
        found.push((name.to_owned(), exact.map(str::to_owned).collect()));
    }
    found
}

#[test]
fn the_figures_of_an_expression_are_found_with_their_labels() {
    let label = |label: &str| vec![label.to_owned()];
    assert_eq!(
        named(r#"max(sdht_a{op="get",le=~"1|2"}) / rate(minor_storage_b_total[5m]) > 0.1"#),
        [("sdht_a".to_owned(), label(r#"op="get""#)), ("minor_storage_b_total".to_owned(), vec![])]
    );
}

fn of_alerts() -> Vec<Named> {
    let text = read("alerts.yml");
    // What follows `expr:` up to `for:` or `labels:`; texts for people name figures too.
    let parts = text.split("expr:").skip(1).map(|part| {
        let end = ["\n        for:", "\n        labels:"].map(|mark| part.find(mark));
        &part[..end.into_iter().flatten().min().expect("a rule has labels")]
    });
    parts.flat_map(named).collect()
}

fn of_dashboard() -> Vec<Named> {
    let dashboard: serde_json::Value = serde_json::from_str(&read("dashboard.json")).unwrap();
    let panels = dashboard["panels"].as_array().unwrap();
    let ids: BTreeSet<_> = panels.iter().map(|panel| panel["id"].as_u64().unwrap()).collect();
    assert_eq!(ids.len(), panels.len(), "each panel has its own id");
    let targets = panels.iter().filter_map(|panel| panel["targets"].as_array()).flatten();
    targets.flat_map(|target| named(target["expr"].as_str().unwrap())).collect()
}

#[test]
fn every_figure_that_an_alarm_or_a_panel_names_is_served() {
    let served = served();
    let (alerts, dashboard) = (of_alerts(), of_dashboard());
    assert!(alerts.len() >= 6 && dashboard.len() >= 20, "{alerts:?} {dashboard:?}");
    for (name, labels) in alerts.iter().chain(&dashboard) {
        let is_it = |line: &&String| {
            let rest = line.strip_prefix(&**name);
            rest.is_some_and(|rest| rest.starts_with(['{', ' ']))
                && labels.iter().all(|label| line.contains(&**label))
        };
        assert!(
            served.iter().any(|line| is_it(&line)),
            "{name} {labels:?} is not in\n{}",
            served.join("\n")
        );
    }
}

#[test]
fn each_alarm_goes_off_when_it_should_and_prometheus_reads_what_is_given_to_it() {
    if Command::new("promtool").arg("--version").output().is_err() {
        return skip_but_in_ci("promtool is not here (Debian package prometheus)");
    }
    for line in [
        &["check", "rules", "alerts.yml"][..],
        &["test", "rules", "alerts-test.yml"],
        &["check", "config", "--syntax-only", "prometheus.yml"],
    ] {
        let out = Command::new("promtool").args(line).current_dir(deploy()).output().unwrap();
        assert!(out.status.success(), "{line:?}: {out:?}");
    }
    let (rules, played) = (read("alerts.yml"), read("alerts-test.yml"));
    let names = rules.lines().filter_map(|line| line.trim().strip_prefix("- alert: "));
    let unplayed: Vec<&str> =
        names.filter(|name| !played.contains(&format!("\"{name}\""))).collect();
    assert!(unplayed.is_empty(), "no case for {unplayed:?}");
}
