//! The figures as a person or a program reads them.

use serde_json::json;

/// One figure.
pub(crate) struct Figure {
    pub(crate) name: &'static str,
    pub(crate) ours: f64,
    pub(crate) unit: &'static str,
    /// What it is measured against, and the figure of that.
    pub(crate) rival: Option<(&'static str, f64)>,
    pub(crate) goal: Goal,
}

/// What is to be reached.
#[derive(Clone, Copy)]
pub(crate) enum Goal {
    RatioAtLeast(f64),
    AtMost(f64),
    None,
}

impl Figure {
    fn ratio(&self) -> Option<f64> {
        self.rival.map(|(_, theirs)| self.ours / theirs)
    }

    fn is_reached(&self) -> Option<bool> {
        match self.goal {
            Goal::RatioAtLeast(goal) => self.ratio().map(|ratio| ratio >= goal),
            Goal::AtMost(goal) => Some(self.ours <= goal),
            Goal::None => None,
        }
    }
}

/// Prints them on stdout.
pub(crate) fn print(figures: &[Figure], as_json: bool) {
    if as_json {
        let rows: Vec<_> = figures.iter().map(row).collect();
        return println!("{}", json!(rows));
    }
    let heads = ["figure", "measured", "against", "ratio", "goal", ""];
    println!(
        "{:<48} {:>14} {:>40} {:>6} {:>12} {}",
        heads[0], heads[1], heads[2], heads[3], heads[4], heads[5]
    );
    for figure in figures {
        let against = figure
            .rival
            .map_or(String::new(), |(what, theirs)| format!("{what} {theirs:.0}{}", figure.unit));
        let goal = match figure.goal {
            Goal::RatioAtLeast(goal) => format!(">= {goal}"),
            Goal::AtMost(goal) => format!("<= {goal:.0}{}", figure.unit),
            Goal::None => String::new(),
        };
        let verdict = figure.is_reached().map_or("", |yes| if yes { "reached" } else { "MISSED" });
        let ratio = figure.ratio().map_or(String::new(), |ratio| format!("{ratio:.2}"));
        let ours = format!("{:.*}{}", usize::from(figure.ours < 100.0), figure.ours, figure.unit);
        println!("{:<48} {ours:>14} {against:>40} {ratio:>6} {goal:>12} {verdict}", figure.name);
    }
}

fn row(figure: &Figure) -> serde_json::Value {
    let (goal, goal_of) = match figure.goal {
        Goal::RatioAtLeast(goal) => (Some(goal), "ratio, at least"),
        Goal::AtMost(goal) => (Some(goal), "measured, at most"),
        Goal::None => (None, ""),
    };
    json!({
        "figure": figure.name,
        "measured": figure.ours,
        "unit": figure.unit.trim(),
        "against": figure.rival.map(|(what, _)| what),
        "theirs": figure.rival.map(|(_, theirs)| theirs),
        "ratio": figure.ratio(),
        "goal": goal,
        "goal_of": goal_of,
        "reached": figure.is_reached(),
    })
}
