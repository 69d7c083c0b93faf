//! What is sent as JSON: one object, and nothing else.

use serde::de::DeserializeOwned;

/// What an object says, or why it says nothing.
pub(super) fn object<T: DeserializeOwned>(text: &[u8]) -> Result<T, String> {
    if !text.trim_ascii_start().starts_with(b"{") {
        // A list would do for serde: its items in the order of the fields.
        return Err("one JSON object is wanted".into());
    }
    serde_json::from_slice(text).map_err(|why| why.to_string())
}
