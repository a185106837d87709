//! Text in columns.

/// The space between two columns.
const GAP: &str = "  ";

/// Lays rows out in columns under a heading, each as wide as its widest cell; no line ends in blanks.
pub(crate) fn render<const N: usize>(heading: [&str; N], rows: &[[String; N]]) -> String {
    let mut widths = heading.map(width);
    for row in rows {
        for (widest, cell) in widths.iter_mut().zip(row) {
            *widest = (*widest).max(width(cell));
        }
    }
    let mut text = line(&heading, &widths);
    for row in rows {
        text.push('\n');
        text.push_str(&line(&row.each_ref().map(String::as_str), &widths));
    }
    text
}

fn line(cells: &[&str], widths: &[usize]) -> String {
    let mut line = String::new();
    for (cell, &width) in cells.iter().zip(widths) {
        line.push_str(cell);
        line.extend(std::iter::repeat_n(' ', width - self::width(cell)));
        line.push_str(GAP);
    }
    line.truncate(line.trim_end().len());
    line
}

fn width(cell: &str) -> usize {
    cell.chars().count()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_as_wide_as_their_widest_cell() {
        let rows = [["digits", "1"], ["é", "20000000"]].map(|row| row.map(str::to_owned));
        assert_eq!(
            render(["MODEL", "V"], &rows),
            "MODEL   V\ndigits  1\né       20000000"
        );
        assert_eq!(render(["MODEL", "V"], &[]), "MODEL  V");
    }
}
