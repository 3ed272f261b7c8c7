//! Charts as inline SVG: they need neither a script nor another file.

use std::fmt::Write as _;

use super::axis::Axis;
use super::escape;

const WIDTH: f64 = 480.0;
const HEIGHT: f64 = 270.0;
const LEFT: f64 = 58.0;
const RIGHT: f64 = 12.0;
const TOP: f64 = 14.0;
const BOTTOM: f64 = 30.0;
/// Distance between two texts of the horizontal axis, at least.
const TEXT_GAP: f64 = 54.0;

/// A chart under construction.
pub struct Chart {
    title: String,
    note: String,
    x: Axis,
    y: Axis,
    layers: String,
    marks: String,
    hits: String,
    legend: Vec<(String, String)>,
}

impl Chart {
    /// Axes and nothing else.
    pub fn new(title: &str, note: &str, x: Axis, y: Axis) -> Chart {
        let (title, note) = (title.to_string(), note.to_string());
        let (layers, marks, hits) = (String::new(), String::new(), String::new());
        Chart { title, note, x, y, layers, marks, hits, legend: Vec::new() }
    }

    fn px(&self, x: f64) -> f64 {
        LEFT + self.x.position(x) * (WIDTH - LEFT - RIGHT)
    }

    fn py(&self, y: f64) -> f64 {
        HEIGHT - BOTTOM - self.y.position(y) * (HEIGHT - TOP - BOTTOM)
    }

    /// Names a class of lines.
    pub fn legend(&mut self, class: &str, text: &str) {
        self.legend.push((class.to_string(), text.to_string()));
    }

    /// A line through points in rising order; it is interrupted where one is missing.
    pub fn line(&mut self, class: &str, points: &[(f64, Option<f64>)]) {
        let path = self.path(points);
        let _ = writeln!(self.layers, "<path class=\"line {class}\" d=\"{path}\"/>");
        self.isolated(class, points);
    }

    /// Points without neighbours would be lines of no length.
    fn isolated(&mut self, class: &str, points: &[(f64, Option<f64>)]) {
        for (at, (x, y)) in points.iter().enumerate() {
            let Some(y) = y else { continue };
            let is_there =
                |n: Option<usize>| n.and_then(|n| points.get(n)).is_some_and(|p| p.1.is_some());
            if !is_there(at.checked_sub(1)) && !is_there(Some(at + 1)) {
                let (cx, cy) = (self.px(*x), self.py(*y));
                let _ = writeln!(
                    self.layers,
                    "<circle class=\"dot {class}\" cx=\"{cx:.1}\" cy=\"{cy:.1}\" r=\"3\"/>"
                );
            }
        }
    }

    fn path(&self, points: &[(f64, Option<f64>)]) -> String {
        let mut path = String::new();
        let mut down = false;
        for (x, y) in points {
            if let Some(y) = y {
                let letter = if down { 'L' } else { 'M' };
                let _ = write!(path, "{letter}{:.1} {:.1}", self.px(*x), self.py(*y));
            }
            down = y.is_some();
        }
        path
    }

    /// Bars from the bottom: begin, end, height.
    pub(crate) fn bars(&mut self, class: &str, bars: &[(f64, f64, f64)]) {
        for (from, to, height) in bars {
            let (left, right, top) = (self.px(*from), self.px(*to), self.py(*height));
            let (width, tall) = ((right - left - 1.0).max(0.5), HEIGHT - BOTTOM - top);
            let _ = writeln!(
                self.layers,
                "<rect class=\"bar {class}\" x=\"{left:.1}\" y=\"{top:.1}\" \
                 width=\"{width:.1}\" height=\"{tall:.1}\"/>"
            );
        }
    }

    /// A point.
    pub fn dot(&mut self, class: &str, x: f64, y: f64, text: &str) {
        let (cx, cy, text) = (self.px(x), self.py(y), escape(text));
        let _ = writeln!(
            self.layers,
            "<circle class=\"dot {class}\" cx=\"{cx:.1}\" cy=\"{cy:.1}\" r=\"4\">\
             <title>{text}</title></circle>"
        );
    }

    /// Something that happened: a vertical line with a sign at its top.
    pub(crate) fn event(&mut self, x: f64, class: &str, text: &str) {
        let (at, bottom, text) = (self.px(x), HEIGHT - BOTTOM, escape(text));
        let _ = writeln!(
            self.marks,
            "<g class=\"event {class}\"><title>{text}</title>\
             <path d=\"M{at:.1} {TOP}V{bottom}\"/>\
             <path class=\"sign\" d=\"M{:.1} {}h10l-5 9z\"/></g>",
            at - 5.0,
            TOP - 9.0
        );
    }

    /// A stretch of the horizontal axis that is not like the rest.
    pub(crate) fn shade(&mut self, from: f64, to: f64, text: &str) {
        let (left, right, tall) = (self.px(from), self.px(to), HEIGHT - TOP - BOTTOM);
        if right - left > 0.5 {
            let width = right - left;
            let _ = writeln!(
                self.layers,
                "<rect class=\"shade\" x=\"{left:.1}\" y=\"{TOP}\" width=\"{width:.1}\" \
                 height=\"{tall}\"><title>{}</title></rect>",
                escape(text)
            );
        }
    }

    /// What is said when the pointer is between two places.
    pub(crate) fn hit(&mut self, from: f64, to: f64, text: &str) {
        let (left, right, tall) = (self.px(from), self.px(to), HEIGHT - TOP - BOTTOM);
        let width = (right - left).max(1.0);
        let _ = writeln!(
            self.hits,
            "<rect class=\"hit\" x=\"{left:.1}\" y=\"{TOP}\" width=\"{width:.1}\" \
             height=\"{tall}\"><title>{}</title></rect>",
            escape(text)
        );
    }

    /// The chart as HTML.
    pub fn render(&self) -> String {
        let mut out = format!("<figure>\n<figcaption><b>{}</b>", escape(&self.title));
        if !self.note.is_empty() {
            let _ = write!(out, " <span>{}</span>", escape(&self.note));
        }
        out.push_str("</figcaption>\n");
        if !self.legend.is_empty() {
            out.push_str("<p class=\"legend\">");
            for (class, text) in &self.legend {
                let _ = write!(out, "<span><i class=\"{class}\"></i>{}</span> ", escape(text));
            }
            out.push_str("</p>\n");
        }
        let label = escape(&self.title);
        let _ = writeln!(
            out,
            "<svg viewBox=\"0 0 {WIDTH} {HEIGHT}\" role=\"img\" aria-label=\"{label}\">"
        );
        self.grid(&mut out);
        let _ = write!(out, "{}{}{}</svg>\n</figure>\n", self.layers, self.hits, self.marks);
        out
    }

    fn grid(&self, out: &mut String) {
        let (right, bottom) = (WIDTH - RIGHT, HEIGHT - BOTTOM);
        for (at, text) in &self.y.ticks {
            let y = self.py(*at);
            let _ = writeln!(
                out,
                "<path class=\"grid\" d=\"M{LEFT} {y:.1}H{right}\"/>\
                 <text class=\"y\" x=\"{:.1}\" y=\"{:.1}\">{}</text>",
                LEFT - 7.0,
                y + 4.5,
                escape(text)
            );
        }
        let mut free_from = 0.0;
        for (at, text) in &self.x.ticks {
            let x = self.px(*at);
            let _ = writeln!(out, "<path class=\"grid\" d=\"M{x:.1} {TOP}V{bottom}\"/>");
            if x < free_from {
                continue;
            }
            free_from = x + TEXT_GAP;
            let anchor = if x > WIDTH - 30.0 { "end" } else { "mid" };
            let x = if anchor == "end" { WIDTH - 2.0 } else { x };
            let _ = writeln!(
                out,
                "<text class=\"{anchor}\" x=\"{x:.1}\" y=\"{}\">{}</text>",
                bottom + 19.0,
                escape(text)
            );
        }
    }
}
