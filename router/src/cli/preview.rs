//! What a change of the ring would move, for `--plan`.

use super::{Ended, console::Console, table};
use sdht::{Ring, Wanted};

/// Says what would be copied, in keys and bytes, and to whom. Nothing is changed.
pub(crate) async fn show(console: &Console, ring: &Ring, wanted: Wanted) -> Ended {
    let preview = ring.plan(wanted).await?;
    if console.json {
        return console.object(preview.shown());
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
