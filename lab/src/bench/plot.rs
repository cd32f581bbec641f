//! What was measured, as a picture: a dot for each ratio, on a scale where each step doubles it.

use std::fmt::Write as _;

use super::figures::Row;
use super::plan::Way;
use super::targets::target;
use super::words::ratio;

/// The width of the names in front.
const NAMES: f64 = 210.0;
/// The width of one doubling.
const STEP: f64 = 56.0;
/// The height of a row.
const HEIGHT: f64 = 22.0;
/// The height of a heading.
const HEADING: f64 = 32.0;
/// Room for title, key and scale.
const TOP: f64 = 84.0;
/// Room for the words behind.
const WORDS: f64 = 170.0;
/// The powers of two that are always shown, from and to.
const SCALE: (f64, f64) = (-4.0, 1.0);

/// Colours, on a light and on a dark page; written out, for not all that show such files know variables.
const STYLE: &str = "\
.page { fill: #fff }
text { fill: #1f2328 }
.soft { fill: #59636e }
.head { stroke: #fff }
.scale { stroke: #d1d9e0 }
.one { stroke: #59636e }
.good { fill: #1a7f37; stroke: #1a7f37 }
.bad { fill: #cf222e; stroke: #cf222e }
.plain { fill: #0969da; stroke: #0969da }
.aim { stroke: #1f2328 }
@media (prefers-color-scheme: dark) {
.page { fill: #0d1117 }
text { fill: #f0f6fc }
.soft { fill: #9198a1 }
.head { stroke: #0d1117 }
.scale { stroke: #3d444d }
.one { stroke: #9198a1 }
.good { fill: #3fb950; stroke: #3fb950 }
.bad { fill: #f85149; stroke: #f85149 }
.plain { fill: #4493f8; stroke: #4493f8 }
.aim { stroke: #f0f6fc }
}
.head { font-weight: bold; paint-order: stroke; stroke-width: 6px }
.one { stroke-width: 1.5 }
.aim { stroke-width: 2 }
";

/// The parts, in order: what they hold and what they are called.
const PARTS: [(Way, bool, &str); 5] = [
    (Way::Bind, false, "Bound, in a machine of 64 functions"),
    (Way::Plan, false, "Looked at, in a machine of 64 functions"),
    (Way::Plan, true, "Looked at, in trees that are made up"),
    (Way::Load, false, "A boot's part, vfio-pci loaded along"),
    (Way::Idle, false, "Nothing asked"),
];

/// The name of a row below its heading.
fn name(row: &Row) -> String {
    let pair = &row.pair;
    match (pair.way, pair.made_up) {
        (Way::Load, _) => format!("{} bound", pair.taken),
        (Way::Idle, _) => "a shell that ends at once".to_owned(),
        (_, true) => format!("{} functions, by {}", pair.functions, pair.selector.name),
        (_, false) => format!("by {}", pair.selector.name),
    }
}

/// The picture, as SVG.
#[must_use]
pub fn svg(rows: &[Row]) -> String {
    let most = rows
        .iter()
        .map(|row| row.ratio().log2().ceil())
        .fold(SCALE.1, f64::max);
    let (mut body, mut y) = (String::new(), TOP);
    for (way, made_up, heading) in PARTS {
        let mut some = rows
            .iter()
            .filter(|row| row.pair.way == way && row.pair.made_up == made_up)
            .peekable();
        if some.peek().is_none() {
            continue;
        }
        y += HEADING;
        let _ = writeln!(
            body,
            "<text class=\"head\" x=\"12\" y=\"{:.1}\">{heading}</text>",
            y - 8.0
        );
        for row in some {
            draw(&mut body, row, y + HEIGHT / 2.0, most);
            y += HEIGHT;
        }
    }
    let (width, height) = (at(most.exp2(), most) + WORDS, y + 16.0);
    format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {width:.0} {height:.0}\" width=\"{width:.0}\" \
         height=\"{height:.0}\" font-family=\"sans-serif\" font-size=\"13\">\n<style>\n{STYLE}</style>\n\
         <rect width=\"100%\" height=\"100%\" class=\"page\"/>\n{}{body}</svg>\n",
        scale(most, y)
    )
}

/// Where a ratio is, on a scale up to this power of two.
fn at(ratio: f64, most: f64) -> f64 {
    NAMES + (ratio.log2().clamp(SCALE.0, most) - SCALE.0) * STEP
}

/// Title, key and scale, with lines down to `bottom`.
fn scale(most: f64, bottom: f64) -> String {
    let mut text = String::from(
        "<text class=\"head\" x=\"12\" y=\"22\">Instructions of the agent for each of the other's</text>\n\
         <text class=\"soft\" x=\"12\" y=\"42\">left of 1 it costs less; | is the target, and where it is \
         missed the dot is red</text>\n",
    );
    let mut power = SCALE.0;
    while power <= most {
        let (x, number) = (at(power.exp2(), most), power.exp2());
        let class = if power == 0.0 { "one" } else { "scale" };
        let _ = writeln!(
            text,
            "<line class=\"{class}\" x1=\"{x:.1}\" x2=\"{x:.1}\" y1=\"{TOP:.0}\" y2=\"{bottom:.0}\"/>\
             <text class=\"soft\" x=\"{x:.1}\" y=\"{:.0}\" text-anchor=\"middle\">{number}</text>",
            TOP - 8.0
        );
        power += 1.0;
    }
    text
}

/// One row, in the middle of which is `y`.
fn draw(text: &mut String, row: &Row, y: f64, most: f64) {
    let (x, aim) = (at(row.ratio(), most), target(&row.pair));
    let (class, words) = match aim {
        Some(aim) if row.ratio() > aim => ("bad", format!(", missed {aim}")),
        Some(aim) => ("good", format!(", reached {aim}")),
        None => ("plain", String::new()),
    };
    let _ = writeln!(
        text,
        "<text x=\"24\" y=\"{0:.1}\">{1}</text>\
         <line class=\"{class}\" stroke-width=\"2\" x1=\"{2:.1}\" x2=\"{x:.1}\" y1=\"{y:.1}\" y2=\"{y:.1}\"/>\
         <circle class=\"{class}\" cx=\"{x:.1}\" cy=\"{y:.1}\" r=\"4.5\"/>\
         <text x=\"{3:.1}\" y=\"{0:.1}\">{4}<tspan class=\"soft\">{words}</tspan></text>",
        y + 4.5,
        name(row),
        at(1.0, most),
        at(most.exp2(), most) + 16.0,
        ratio(row.ratio())
    );
    if let Some(aim) = aim {
        let x = at(aim, most);
        let _ = writeln!(
            text,
            "<line class=\"aim\" x1=\"{x:.1}\" x2=\"{x:.1}\" y1=\"{:.1}\" y2=\"{:.1}\"/>",
            y - 8.0,
            y + 8.0
        );
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bench::figures::tests::row;

    #[test]
    fn a_dot_is_where_its_ratio_is() {
        let text = svg(&[row(200, 100, 1), row(1, 100, 1)]);
        let (two, first) = (NAMES + (1.0 - SCALE.0) * STEP, TOP + HEADING + HEIGHT / 2.0);
        assert!(
            text.contains(&format!(
                "<circle class=\"bad\" cx=\"{two:.1}\" cy=\"{first:.1}\""
            )),
            "{text}"
        );
        // Less than the scale has is at its edge.
        assert!(
            text.contains(&format!(
                "<circle class=\"good\" cx=\"{NAMES:.1}\" cy=\"{:.1}\"",
                first + HEIGHT
            )),
            "{text}"
        );
        assert_eq!(
            text.matches("by path").count() + text.matches("by address").count(),
            2
        );
        assert_eq!(text.matches("class=\"head\"").count(), 2, "{text}");
        assert!(text.ends_with("</svg>\n"));
        assert!(svg(&[]).starts_with("<svg "));
    }

    #[test]
    fn every_part_has_a_heading() {
        let pairs = crate::bench::plan::full()
            .into_iter()
            .flat_map(|guest| guest.pairs);
        let rows: Vec<_> = pairs
            .map(|pair| Row {
                pair,
                ..row(200, 100, 1)
            })
            .collect();
        let text = svg(&rows);
        assert_eq!(text.matches("<circle").count(), rows.len());
        assert_eq!(text.matches("class=\"head\"").count(), PARTS.len() + 1);
    }
}
