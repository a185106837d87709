//! A plot of one measured value: horizontal bars, the longest the best, as SVG for `docs/performance.md`.

use std::fmt::Write as _;

const WIDTH: f64 = 760.0;
const LABEL_WIDTH: f64 = 230.0;
const VALUE_WIDTH: f64 = 110.0;
const TITLE_HEIGHT: f64 = 44.0;
const ROW_HEIGHT: f64 = 26.0;
const BAR_HEIGHT: f64 = 16.0;

/// The bars of this project, and those of others. Both are seen on light and dark pages.
const OURS: &str = "#2f7ed8";
const OTHERS: &str = "#8f9ba8";

/// One bar.
#[derive(Clone, Debug)]
pub(crate) struct Bar {
    /// Whose it is.
    pub(crate) who: String,
    /// How long it is.
    pub(crate) value: f64,
}

/// Returns the text of an SVG file.
pub(crate) fn bars(title: &str, mut bars: Vec<Bar>) -> String {
    bars.sort_by(|a, b| b.value.total_cmp(&a.value));
    let most = bars
        .iter()
        .map(|bar| bar.value)
        .fold(f64::MIN_POSITIVE, f64::max);
    let height = TITLE_HEIGHT + bars.len() as f64 * ROW_HEIGHT + 8.0;
    let mut svg = format!(
        "<!-- Made by `cargo xtask bench`. -->\n\
         <svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {height}\" font-family=\"sans-serif\" \
         font-size=\"13\">\n\
         <style>text {{ fill: #24292f }} @media (prefers-color-scheme: dark) {{ text {{ fill: #d0d7de }} }}</style>\n\
         <text x=\"8\" y=\"24\" font-size=\"15\" font-weight=\"bold\">{}</text>\n",
        escaped(title)
    );
    for (idx, bar) in bars.iter().enumerate() {
        let top = TITLE_HEIGHT + idx as f64 * ROW_HEIGHT;
        let length = bar.value / most * (WIDTH - LABEL_WIDTH - VALUE_WIDTH);
        let colour = if bar.who.starts_with("Salver") {
            OURS
        } else {
            OTHERS
        };
        let base = top + BAR_HEIGHT - 3.0;
        writeln!(
            svg,
            "<text x=\"{}\" y=\"{base}\" text-anchor=\"end\">{}</text>\
             <rect x=\"{LABEL_WIDTH}\" y=\"{top}\" width=\"{length:.1}\" height=\"{BAR_HEIGHT}\" rx=\"2\" \
             fill=\"{colour}\"/><text x=\"{:.1}\" y=\"{base}\">{}</text>",
            LABEL_WIDTH - 8.0,
            escaped(&bar.who),
            LABEL_WIDTH + length + 6.0,
            grouped(bar.value)
        )
        .expect("text can be written");
    }
    svg + "</svg>\n"
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;")
}

/// Writes 35849.7 as `35,850`.
fn grouped(value: f64) -> String {
    let digits = format!("{value:.0}");
    let mut grouped = String::new();
    for (idx, digit) in digits.chars().enumerate() {
        if idx > 0 && (digits.len() - idx).is_multiple_of(3) {
            grouped.push(',');
        }
        grouped.push(digit);
    }
    grouped
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_best_is_first_and_ours_stand_out() {
        let bar = |who: &str, value| Bar {
            who: who.to_owned(),
            value,
        };
        let svg = bars(
            "a < b",
            vec![bar("peer", 1234.5), bar("Salver, REST", 35_849.7)],
        );
        assert!(svg.contains("a &lt; b"));
        let (ours, theirs) = (svg.find("35,850").unwrap(), svg.find("1,234").unwrap());
        assert!(ours < theirs);
        assert_eq!(svg.matches(OURS).count(), 1);
    }
}
