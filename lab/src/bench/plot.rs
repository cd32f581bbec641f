//! What was measured, as a picture: a dot for each ratio, on a scale where each step doubles it.

use std::fmt::Write as _;

use super::figures::Row;
use super::targets::target;

/// The width of the names in front.
const NAMES: f64 = 290.0;
/// The width of one doubling.
const STEP: f64 = 44.0;
/// The height of a row.
const HEIGHT: f64 = 20.0;
/// Room for the scale.
const HEAD: f64 = 44.0;
/// The least power of two that is shown.
const LEAST: f64 = -3.0;

/// The picture, as SVG.
#[must_use]
pub fn svg(rows: &[Row]) -> String {
    let most = rows
        .iter()
        .map(|row| row.ratio().log2().ceil())
        .fold(1.0, f64::max);
    let at = |ratio: f64| NAMES + (ratio.log2().clamp(LEAST, most) - LEAST) * STEP;
    let width = NAMES + (most - LEAST) * STEP + 60.0;
    let bottom = HEAD + rows.len() as f64 * HEIGHT;
    let mut text = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{width:.0}\" height=\"{:.0}\" \
         font-family=\"sans-serif\" font-size=\"12\">\n\
         <rect width=\"100%\" height=\"100%\" fill=\"white\"/>\n\
         <text x=\"8\" y=\"16\">instructions of the agent for each of the hook's; a bar is the target</text>\n",
        bottom + 12.0
    );
    let mut power = LEAST;
    while power <= most {
        let (x, ratio) = (at(power.exp2()), power.exp2());
        let color = if power == 0.0 { "black" } else { "lightgray" };
        let _ = writeln!(
            text,
            "<line x1=\"{x:.1}\" x2=\"{x:.1}\" y1=\"{HEAD:.0}\" y2=\"{bottom:.0}\" stroke=\"{color}\"/>\
             <text x=\"{x:.1}\" y=\"{:.0}\" text-anchor=\"middle\">{ratio}</text>",
            HEAD - 8.0
        );
        power += 1.0;
    }
    for (number, row) in rows.iter().enumerate() {
        let y = HEAD + (number as f64 + 0.5) * HEIGHT;
        let (x, aim) = (at(row.ratio()), target(&row.pair));
        let color = match aim {
            Some(aim) if row.ratio() > aim => "crimson",
            Some(_) => "seagreen",
            None => "steelblue",
        };
        let _ = writeln!(
            text,
            "<text x=\"8\" y=\"{:.1}\">{}</text><circle cx=\"{x:.1}\" cy=\"{y:.1}\" r=\"4\" fill=\"{color}\"/>",
            y + 4.0,
            row.pair.name()
        );
        if let Some(aim) = aim {
            let x = at(aim);
            let _ = writeln!(
                text,
                "<line x1=\"{x:.1}\" x2=\"{x:.1}\" y1=\"{:.1}\" y2=\"{:.1}\" stroke=\"{color}\" stroke-width=\"3\"/>",
                y - 7.0,
                y + 7.0
            );
        }
    }
    text + "</svg>\n"
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bench::figures::tests::row;

    #[test]
    fn a_dot_is_where_its_ratio_is() {
        let text = svg(&[row(200, 100, 1), row(1, 100, 1)]);
        let two = NAMES + (1.0 - LEAST) * STEP;
        assert!(
            text.contains(&format!(
                "<circle cx=\"{two:.1}\" cy=\"54.0\" r=\"4\" fill=\"crimson\""
            )),
            "{text}"
        );
        // Less than the scale has is at its edge.
        assert!(
            text.contains(&format!(
                "<circle cx=\"{NAMES:.1}\" cy=\"74.0\" r=\"4\" fill=\"seagreen\""
            )),
            "{text}"
        );
        assert_eq!(text.matches("plan by address, 64 real").count(), 2);
        assert!(text.ends_with("</svg>\n"));
        assert!(svg(&[]).starts_with("<svg "));
    }
}
