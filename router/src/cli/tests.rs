//! What holds for every verb.

use super::*;

#[test]
fn the_command_line_is_well_formed() {
    command().debug_assert();
}

#[test]
fn every_verb_shows_three_examples() {
    for verb in command().get_subcommands().filter(|verb| !verb.is_hide_set()) {
        let name = verb.get_name();
        let help = verb.get_after_help().map(ToString::to_string).unwrap_or_default();
        let examples =
            help.lines().filter(|line| line.trim_start().contains(&format!("sdht {name}")));
        assert!(examples.count() >= 3, "{name}: {help}");
    }
}

#[test]
fn a_word_is_quoted_where_a_shell_would_take_it_apart() {
    for (word, typed) in [("a:1", "a:1"), ("", "''"), ("a b", "'a b'"), ("it's", r"'it'\''s'")] {
        assert_eq!(quoted(word.into()), typed);
    }
}
