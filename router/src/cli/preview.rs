//! What a change of the ring would move, for `--plan`.

use super::{Ended, console::Console, table};
use sdht::{Preview, Ring, Wanted};
use serde_json::json;

/// Says what would be copied, in keys and bytes, and to whom. Nothing is changed.
pub(crate) async fn show(console: &Console, ring: &Ring, wanted: Wanted) -> Ended {
    let preview = ring.plan(wanted).await?;
    if console.json {
        return console.object(shown(&preview));
    }
    if preview.decrees == 0 {
        return console.print("Nothing would be changed.");
    }
    let mut rows = table::of(&["to", "of the arc", "keys", "bytes"]);
    table::numbers(&mut rows, &[2, 3]);
    for moved in &preview.moves {
        rows.add_row([
            moved.to.address.clone(),
            moved.span.to_string(),
            moved.keys.to_string(),
            table::bytes(moved.bytes),
        ]);
    }
    if !preview.moves.is_empty() {
        console.print(table::text(&rows))?;
    }
    let of_all = 100.0 * preview.bytes() as f64 / preview.bytes_total.max(1) as f64;
    console.print(format_args!(
        "{} keys and {} would be copied ({of_all:.0} % of {}), in {} steps.",
        preview.keys(),
        table::bytes(preview.bytes()),
        table::bytes(preview.bytes_total),
        preview.decrees
    ))
}

fn shown(preview: &Preview) -> serde_json::Value {
    let moves = preview.moves.iter().map(|moved| {
        json!({
            "to": moved.to.address,
            "from_place": moved.span.from.to_string(),
            "to_place": moved.span.to.to_string(),
            "keys": moved.keys,
            "bytes": moved.bytes,
        })
    });
    json!({
        "moves": moves.collect::<Vec<_>>(),
        "keys": preview.keys(),
        "bytes": preview.bytes(),
        "bytes_total": preview.bytes_total,
        "steps": preview.decrees,
    })
}
