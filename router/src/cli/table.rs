//! Tables of plain columns: as good for a person as for `cut` and `awk`.

use comfy_table::{CellAlignment, ContentArrangement, Table, presets::NOTHING};

/// A table with these headings.
pub(crate) fn of(headings: &[&str]) -> Table {
    let mut table = Table::new();
    table.load_preset(NOTHING).set_content_arrangement(ContentArrangement::Disabled);
    table.set_header(headings);
    table
}

/// The table as it is printed: nothing before the first column, nothing behind the last.
pub(crate) fn text(table: &Table) -> String {
    let text = table.trim_fmt();
    text.lines().map(|line| line.strip_prefix(' ').unwrap_or(line)).collect::<Vec<_>>().join("\n")
}

/// Numbers stand below each other in these columns.
pub(crate) fn numbers(table: &mut Table, columns: &[usize]) {
    for column in columns {
        if let Some(column) = table.column_mut(*column) {
            column.set_cell_alignment(CellAlignment::Right);
        }
    }
}

/// Bytes as people read them.
pub(crate) fn bytes(bytes: u64) -> String {
    indicatif::BinaryBytes(bytes).to_string()
}
