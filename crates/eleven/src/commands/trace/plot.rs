//! Time–sequence plots: what one end sent, what the other acknowledged, and how far it could have gone.
//!
//! Time runs to the right, sequence numbers upwards. Text is a bar from its first number to its last; a repeat has
//! another colour. Two stairs bound it: below what is acknowledged, above the window. Between them stand the SACK blocks.

use std::fmt::Write as _;

use eleven_track::{Note, Side};

use super::flows::Numbered;
use super::record::Records;
use crate::text;

/// One end's half of a flow.
#[derive(Debug, Default)]
pub(super) struct Plot {
    /// What it shows.
    pub(super) title: String,
    /// Text: when, from, to, whether it had been sent before.
    pub(super) text: Vec<(f64, i64, i64, bool)>,
    /// What the other end acknowledged: when, up to.
    pub(super) acknowledged: Vec<(f64, i64)>,
    /// How far its window reached: when, up to. Empty where the scale of the window is unknown.
    pub(super) window: Vec<(f64, i64)>,
    /// What it had beyond that: when, from, to.
    pub(super) sacked: Vec<(f64, i64, i64)>,
}

/// The part of the plane that is shown.
#[derive(Clone, Copy)]
struct Frame {
    left: f64,
    right: f64,
    bottom: f64,
    top: f64,
}

impl Plot {
    /// Whether there is anything to see.
    pub(super) fn is_empty(&self) -> bool {
        self.text.is_empty()
    }

    fn frame(&self) -> Frame {
        let times = || {
            let stairs = self.acknowledged.iter().chain(&self.window).map(|point| point.0);
            stairs.chain(self.text.iter().map(|bar| bar.0))
        };
        // The window says little where it is far above all text.
        let numbers = || {
            let stairs = self.acknowledged.iter().map(|point| point.1);
            stairs.chain(self.text.iter().flat_map(|bar| [bar.1, bar.2]))
        };
        let (left, right) = (times().fold(f64::MAX, f64::min), times().fold(f64::MIN, f64::max));
        let (bottom, top) = (numbers().min().unwrap_or(0).max(0) as f64, numbers().max().unwrap_or(1) as f64);
        let spread = |low: f64, high: f64, least: f64| if high - low < least { low + least } else { high };
        let top = spread(bottom, top, 1.0);
        Frame { left, right: spread(left, right, 1e-6), bottom, top: top + (top - bottom) * 0.04 }
    }

    /// What one side sent.
    pub(super) fn of(numbered: &Numbered, records: &Records, side: Side) -> Self {
        let flow = &numbered.flow;
        let (from, to) = (flow.end(side).socket, flow.end(side.other()).socket);
        let mut plot = Self {
            title: format!("flow {}: text of the {side}, {from} → {to}", numbered.number),
            ..Self::default()
        };
        let start = records.start();
        for record in &records.segments {
            let verdict = &record.verdict;
            let time = record.time.since(start) as f64 / 1e9;
            if verdict.from == side {
                if verdict.length > 0 {
                    let seq = i64::from(verdict.seq);
                    let repeated = REPEATS.iter().any(|note| verdict.has(*note));
                    plot.text.push((time, seq, seq + i64::from(verdict.length), repeated));
                }
            } else if let Some(ack) = verdict.ack.map(i64::from) {
                plot.acknowledged.push((time, ack));
                plot.window.extend(record.window.map(|window| (time, ack.saturating_add_unsigned(window))));
                let sacked = record.sacked.iter().map(|(from, to)| (time, i64::from(*from), i64::from(*to)));
                // A block below the acknowledgment tells of something that came twice (RFC 2883).
                plot.sacked.extend(sacked.filter(|(_, from, _)| *from >= ack));
            }
        }
        plot
    }

    /// As an SVG image, one below the other.
    pub(super) fn svg(plots: &[&Self]) -> String {
        let height = HEIGHT * plots.len() as f64;
        let mut out = format!(
            "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {height}\" \
             font-family=\"sans-serif\" font-size=\"12\">\n<rect width=\"100%\" height=\"100%\" fill=\"#fff\"/>\n"
        );
        for (index, plot) in plots.iter().enumerate() {
            let _ = writeln!(out, "<g transform=\"translate(0 {})\">", HEIGHT * index as f64);
            plot.panel(&mut out);
            out.push_str("</g>\n");
        }
        out.push_str("</svg>\n");
        out
    }

    fn panel(&self, out: &mut String) {
        let frame = self.frame();
        let x = |time: f64| LEFT + (time - frame.left) / (frame.right - frame.left) * (WIDTH - LEFT - 20.0);
        let y = |number: f64| {
            let part = (number - frame.bottom) / (frame.top - frame.bottom);
            HEIGHT - BELOW - part.clamp(0.0, 1.0) * (HEIGHT - BELOW - ABOVE)
        };
        let _ = writeln!(out, "<text x=\"{LEFT}\" y=\"22\" font-size=\"15\">{}</text>", escape(&self.title));
        for (value, name) in ticks(frame.left, frame.right, 8) {
            let at = x(value);
            let _ = writeln!(
                out,
                "<path d=\"M{at:.1} {ABOVE}V{0:.1}\" stroke=\"#eee\"/>\
                 <text x=\"{at:.1}\" y=\"{1:.1}\" text-anchor=\"middle\" fill=\"#555\">{name} s</text>",
                HEIGHT - BELOW,
                HEIGHT - BELOW + 18.0
            );
        }
        for (value, name) in ticks(frame.bottom, frame.top, 8) {
            let at = y(value);
            let _ = writeln!(
                out,
                "<path d=\"M{LEFT} {at:.1}H{0:.1}\" stroke=\"#eee\"/>\
                 <text x=\"{1:.1}\" y=\"{2:.1}\" text-anchor=\"end\" fill=\"#555\">{name}</text>",
                WIDTH - 20.0,
                LEFT - 8.0,
                at + 4.0
            );
        }
        let stairs = |points: &[(f64, i64)], color: &str, out: &mut String| {
            let mut path = String::new();
            for (index, (time, number)) in points.iter().enumerate() {
                let (at, height) = (x(*time), y(*number as f64));
                let _ = if index == 0 {
                    write!(path, "M{at:.1} {height:.1}")
                } else {
                    write!(path, "H{at:.1}V{height:.1}")
                };
            }
            if !path.is_empty() {
                let _ = writeln!(out, "<path d=\"{path}\" fill=\"none\" stroke=\"{color}\"/>");
            }
        };
        stairs(&self.window, WINDOW.1, out);
        stairs(&self.acknowledged, ACKNOWLEDGED.1, out);
        let mut bar = |time: f64, from: i64, to: i64, color: &str, width: f64| {
            let (at, low, high) = (x(time), y(from as f64), y(to as f64));
            // A byte is seen too.
            let high = high.min(low - 1.0);
            let _ = writeln!(
                out,
                "<path d=\"M{at:.1} {low:.1}V{high:.1}\" stroke=\"{color}\" stroke-width=\"{width}\"/>"
            );
        };
        for (time, from, to) in &self.sacked {
            bar(*time, *from, *to, SACKED.1, 1.0);
        }
        for (time, from, to, repeated) in &self.text {
            bar(*time, *from, *to, if *repeated { REPEATED.1 } else { TEXT.1 }, 2.0);
        }
        for (index, (name, color)) in [TEXT, REPEATED, ACKNOWLEDGED, WINDOW, SACKED].iter().enumerate() {
            let at = LEFT + index as f64 * 150.0;
            let _ = writeln!(
                out,
                "<rect x=\"{at:.0}\" y=\"{0:.0}\" width=\"12\" height=\"4\" fill=\"{color}\"/>\
                 <text x=\"{1:.0}\" y=\"{2:.0}\">{name}</text>",
                HEIGHT - 14.0,
                at + 18.0,
                HEIGHT - 8.0
            );
        }
    }

    /// As characters: so many columns and lines. A dot of Braille is a segment, a line of dots the acknowledged stairs.
    pub(super) fn text(&self, columns: usize, lines: usize) -> String {
        let frame = self.frame();
        let names = ticks(frame.bottom, frame.top, 4);
        let margin = names.iter().map(|(_, name)| name.len()).max().unwrap_or(0) + 2;
        let (columns, lines) = (columns.saturating_sub(margin).max(10), lines.max(5));
        let (width, height) = (columns * 2, lines * 4);
        let mut canvas =
            Canvas { columns, dots: vec![0; columns * lines], repeated: vec![false; columns * lines] };
        let x = |time: f64| {
            ((time - frame.left) / (frame.right - frame.left) * (width - 1) as f64)
                .clamp(0.0, (width - 1) as f64) as usize
        };
        let y = |number: i64| {
            let part = ((number as f64 - frame.bottom) / (frame.top - frame.bottom)).clamp(0.0, 1.0);
            height - 1 - (part * (height - 1) as f64) as usize
        };
        for points in self.acknowledged.windows(2) {
            let [(before, number), (after, next)] = points else { continue };
            for at in (x(*before)..=x(*after)).step_by(2) {
                canvas.dot(at, y(*number), false);
            }
            if *next > *number {
                canvas.dot(x(*after), y(*next), false);
            }
        }
        for (time, from, to, repeated) in &self.text {
            for at in y(*to)..=y(*from) {
                canvas.dot(x(*time), at, *repeated);
            }
        }
        let mut out = format!("{}\n", self.title);
        for line in 0..lines {
            let name = names
                .iter()
                .find(|(value, _)| y(*value as i64) / 4 == line)
                .map_or("", |(_, name)| name.as_str());
            let _ = writeln!(out, "{name:>0$} │{1}", margin - 2, canvas.line(line).trim_end());
        }
        let _ = writeln!(out, "{:>1$}└{2}", "", margin - 1, "─".repeat(columns));
        let span = format!("{:.6} s", frame.right - frame.left);
        let _ = writeln!(out, "{:>1$}0{2:>3$}", "", margin, span, columns.saturating_sub(1));
        out.push_str(&" ".repeat(margin));
        out.push_str("bars: text sent (marked ×: sent again); dots: acknowledged\n");
        out
    }
}

/// A panel of the image.
const WIDTH: f64 = 1_000.0;
const HEIGHT: f64 = 600.0;
/// What is around it.
const LEFT: f64 = 90.0;
const BELOW: f64 = 50.0;
const ABOVE: f64 = 40.0;

/// What marks text as sent before.
const REPEATS: [Note; 3] = [Note::Retransmission, Note::FastRetransmission, Note::SpuriousRetransmission];

const TEXT: (&str, &str) = ("text", "#1f6feb");
const REPEATED: (&str, &str) = ("sent again", "#d1242f");
const ACKNOWLEDGED: (&str, &str) = ("acknowledged", "#1a7f37");
const WINDOW: (&str, &str) = ("window", "#bf8700");
const SACKED: (&str, &str) = ("SACK blocks", "#8250df");

/// Characters of Braille, each of two by four dots.
struct Canvas {
    columns: usize,
    dots: Vec<u8>,
    /// Where a repeat stands, which dots cannot tell.
    repeated: Vec<bool>,
}

impl Canvas {
    fn dot(&mut self, x: usize, y: usize, repeated: bool) {
        // Unicode's numbering of the dots, by line and column.
        const BITS: [[u8; 2]; 4] = [[0x01, 0x08], [0x02, 0x10], [0x04, 0x20], [0x40, 0x80]];
        let cell = y / 4 * self.columns + x / 2;
        if let Some(dots) = self.dots.get_mut(cell) {
            *dots |= BITS[y % 4][x % 2];
            self.repeated[cell] |= repeated;
        }
    }

    fn line(&self, line: usize) -> String {
        let cells = line * self.columns..(line + 1) * self.columns;
        let cell = |index: usize| match (self.repeated[index], self.dots[index]) {
            (true, _) => '×',
            (false, 0) => ' ',
            (false, dots) => char::from_u32(0x2800 + u32::from(dots)).unwrap_or(' '),
        };
        cells.map(cell).collect()
    }
}

/// Round values between two, about so many, each with its text.
fn ticks(low: f64, high: f64, count: usize) -> Vec<(f64, String)> {
    let rough = (high - low) / count as f64;
    let power = 10_f64.powf(rough.log10().floor());
    let step = [1.0, 2.0, 5.0, 10.0].map(|factor| factor * power).into_iter().find(|step| *step >= rough);
    let step = step.unwrap_or(power * 10.0);
    let digits = (-step.log10().floor()).max(0.0) as usize;
    let first = (low / step).ceil() as i64;
    (first..)
        .map(|index| index as f64 * step)
        .take_while(|value| *value <= high)
        .take(count * 3)
        .map(|value| {
            let name = if digits == 0 { text::thousands(value as u64) } else { format!("{value:.digits$}") };
            (value, name)
        })
        .collect()
}

fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plot() -> Plot {
        Plot {
            title: "10.0.0.1:40000 → <b>".to_owned(),
            text: vec![(0.0, 0, 1_000, false), (0.1, 1_000, 2_000, false), (0.4, 1_000, 2_000, true)],
            acknowledged: vec![(0.05, 0), (0.15, 1_000), (0.5, 2_000)],
            window: vec![(0.05, 5_000)],
            sacked: vec![(0.2, 1_500, 2_000)],
        }
    }

    #[test]
    fn an_image_has_a_bar_for_each_segment() {
        let svg = Plot::svg(&[&plot()]);
        assert_eq!(svg.matches("stroke-width=\"2\"").count(), 3);
        assert_eq!(svg.matches(REPEATED.1).count(), 2, "one bar and its place in the legend");
        assert!(svg.contains("→ &lt;b&gt;"));
    }

    #[test]
    fn characters_show_a_repeat() {
        let text = plot().text(60, 10);
        assert!(text.contains('×'), "{text}");
        assert!(text.lines().all(|line| text::width(line) <= 80), "{text}");
    }

    #[test]
    fn a_single_segment_has_a_frame() {
        let plot = Plot { text: vec![(3.0, 7, 7, false)], ..Plot::default() };
        assert!(Plot::svg(&[&plot]).ends_with("</svg>\n"));
        assert!(!plot.text(0, 0).is_empty());
    }

    #[test]
    fn ticks_are_round() {
        let names: Vec<String> = ticks(0.0, 10_000.0, 4).into_iter().map(|(_, name)| name).collect();
        assert_eq!(names, ["0", "5,000", "10,000"]);
    }
}
