//! Text and numbers in a Mermaid chart.
//!
//! Its grammar knows quotes, directives (`%%{`), entities (`#quot;`), Markdown in strings and HTML in labels, and
//! differs between the versions that hosts run. So only harmless characters pass.

use crate::model::metric::display_value;

/// Longest title or label, in characters.
pub const CHART_TEXT_LIMIT: usize = 60;

/// Writes foreign text for the inside of a chart's `"…"`. Other characters become `·`, and long text is cut.
pub fn chart_text(text: &str) -> String {
    let mut safe = String::new();
    for (count, c) in text.trim().chars().enumerate() {
        if count == CHART_TEXT_LIMIT {
            safe.push('…');
            break;
        }
        let harmless =
            c.is_alphanumeric() || matches!(c, ' ' | '.' | ',' | '_' | '-' | '/' | '(' | ')' | '+' | '=' | '…');
        safe.push(if harmless { c } else { '·' });
    }
    // An empty string is a syntax error in some places of the grammar.
    if safe.is_empty() { "·".to_owned() } else { safe }
}

/// Writes a number for a chart, or `None` for one that a chart cannot show: it knows neither NaN, infinity nor
/// exponents.
pub fn chart_number(value: f64) -> Option<String> {
    let drawable = value == 0.0 || (1e-9..1e15).contains(&value.abs());
    drawable.then(|| {
        let shown = display_value(value);
        // Mermaid reads no exponent; Rust writes a float without one.
        if shown.contains('e') { format!("{value}") } else { shown }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_label_is_only_a_label() {
        assert_eq!(chart_text("a\"\n%%{init: x}%% #quot;"), "a·····init· x··· ·quot·");
        assert_eq!(chart_text("loss_eval 0.5 (été)"), "loss_eval 0.5 (été)");
        assert_eq!(chart_text("  "), "·");
        assert_eq!(chart_text(&"x".repeat(100)).chars().count(), CHART_TEXT_LIMIT + 1);
    }

    #[test]
    fn a_number_is_drawable_or_left_out() {
        assert_eq!(chart_number(0.87).as_deref(), Some("0.87"));
        assert_eq!(chart_number(-0.0).as_deref(), Some("0"));
        assert_eq!(chart_number(0.0000001).as_deref(), Some("0.0000001"));
        for value in [f64::NAN, f64::INFINITY, f64::NEG_INFINITY, 1e15, 1e300, 1e-300] {
            assert_eq!(chart_number(value), None, "{value}");
        }
    }
}
