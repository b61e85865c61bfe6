//! A bar chart of the ratios, as SVG.

use crate::load::Trouble;
use crate::report::Report;
use crate::setup::Setup;
use crate::workload::Workload;
use std::fmt::Write as _;

/// What is drawn: name, colour.
const SHOWN: [(&str, &str); 7] = [
    ("copies", "#bab0ac"),
    ("minimal", "#4e79a7"),
    ("example", "#f28e2b"),
    ("rules", "#59a14f"),
    ("inspect", "#76b7b2"),
    ("jwt", "#b07aa1"),
    ("jwt-authn", "#9c755f"),
];

const LEFT: f64 = 210.0;
const WIDTH: f64 = 520.0;
const BAR: f64 = 14.0;

/// CPU by that of Envoy alone, a bar for each workload and set-up.
pub fn draw(report: &Report) -> Result<String, Trouble> {
    let mut bars = Vec::new();
    for workload in Workload::all()? {
        for (setup, colour) in SHOWN {
            if let Some(ratio) = report.ratio(workload.name, setup, "envoy") {
                bars.push((workload.title, setup, colour, ratio));
            }
        }
    }
    let highest = bars.iter().map(|bar| bar.3.most).fold(1.5, f64::max);
    let x = |ratio: f64| LEFT + ratio / highest * WIDTH;
    let mut body = String::new();
    let (mut y, mut last) = (58.0, "");
    for (workload, _, colour, ratio) in &bars {
        if *workload != last {
            y += 8.0;
            writeln!(
                body,
                "<text x=\"{}\" y=\"{}\" text-anchor=\"end\">{workload}</text>",
                LEFT - 8.0,
                y + 11.0
            )?;
            last = workload;
        }
        let (width, middle) = (x(ratio.median) - LEFT, y + BAR / 2.0);
        writeln!(
            body,
            "<rect x=\"{LEFT}\" y=\"{y}\" width=\"{width:.1}\" height=\"{:.1}\" fill=\"{colour}\"/>",
            BAR - 2.0
        )?;
        writeln!(
            body,
            "<path d=\"M{:.1} {middle}H{:.1}\" stroke=\"#333\"/>",
            x(ratio.least),
            x(ratio.most)
        )?;
        writeln!(
            body,
            "<text x=\"{:.1}\" y=\"{}\">{:.2}</text>",
            x(ratio.most) + 4.0,
            y + 11.0,
            ratio.median
        )?;
        y += BAR;
    }
    let one = x(1.0);
    writeln!(body, "<path d=\"M{one:.1} 62V{y}\" stroke=\"#c00\" stroke-dasharray=\"4 3\"/>")?;
    let (mut left, mut top) = (LEFT, 30.0);
    for (setup, colour) in SHOWN {
        if !bars.iter().any(|bar| bar.1 == setup) {
            continue;
        }
        let title = Setup::all().into_iter().find(|s| s.name == setup).map_or(setup, |s| s.title);
        let length = 28.0 + 6.4 * title.len() as f64;
        if left + length > 1000.0 {
            (left, top) = (LEFT, top + 15.0);
        }
        writeln!(
            body,
            "<rect x=\"{left:.1}\" y=\"{top}\" width=\"10\" height=\"10\" fill=\"{colour}\"/>"
        )?;
        writeln!(body, "<text x=\"{:.1}\" y=\"{}\">{title}</text>", left + 14.0, top + 10.0)?;
        left += length;
    }
    Ok(format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 1000 {}\" \
         font-family=\"sans-serif\" font-size=\"11\">\n<rect width=\"100%\" height=\"100%\" \
         fill=\"#fff\"/>\n<text x=\"8\" y=\"18\" font-size=\"14\">Proxy CPU, Envoy alone = 1 \
         (median; line: least to most)</text>\n{body}</svg>\n",
        y + 12.0
    ))
}
