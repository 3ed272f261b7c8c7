//! Reports as one HTML file that refers to nothing outside of itself. The charts are SVG made
//! here, so the page is complete without a script, and there is none.

mod axis;
mod chart;
mod comparison;
mod report;
mod series;

pub use axis::{Axis, trimmed};
pub use chart::Chart;
pub(crate) use comparison::comparison;
pub(crate) use report::report;

/// A whole page, made by a command of the program.
pub fn page(command: &str, title: &str, body: &str) -> String {
    let style = include_str!("style.css");
    let version = env!("CARGO_PKG_VERSION");
    format!(
        "<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
         <meta http-equiv=\"Content-Security-Policy\" \
         content=\"default-src 'none'; style-src 'unsafe-inline'\">\n\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n\
         <title>{}</title>\n<style>\n{style}</style>\n</head>\n<body>\n<main>\n{body}\
         <footer>Made by ringkeeper {command} {version}.</footer>\n</main>\n</body>\n</html>\n",
        escape(title)
    )
}

/// Text as HTML, also inside of attributes.
pub fn escape(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\'' => out.push_str("&#39;"),
            c => out.push(c),
        }
    }
    out
}

/// A figure and its name.
fn tile(figure: &str, name: &str) -> String {
    let (figure, name) = (escape(figure), escape(name));
    format!("<div class=\"tile\"><b>{figure}</b><span>{name}</span></div>\n")
}

/// A table with a row of heads; cells are HTML.
pub fn table(class: &str, heads: &[&str], rows: impl Iterator<Item = Vec<String>>) -> String {
    let line = |tag: &str, cells: &[String]| {
        let cells = cells.iter().map(|cell| match cell.starts_with("<td") {
            true => cell.clone(),
            false => format!("<{tag}>{cell}</{tag}>"),
        });
        format!("<tr>{}</tr>", cells.collect::<String>())
    };
    let heads: Vec<String> = heads.iter().map(ToString::to_string).collect();
    let rows: String = rows.map(|cells| line("td", &cells) + "\n").collect();
    format!(
        "<div class=\"scroll\"><table class=\"{class}\"><thead>{}</thead><tbody>\n{rows}</tbody>\
         </table></div>\n",
        line("th", &heads)
    )
}

/// A cell of a class.
pub fn cell(class: &str, text: &str) -> String {
    format!("<td class=\"{class}\">{text}</td>")
}

/// A table of names and values.
pub fn facts(rows: &[(String, String)]) -> String {
    let cells = rows.iter().map(|(name, value)| {
        format!("<tr><td>{}</td><td>{}</td></tr>\n", escape(name), escape(value))
    });
    let rows: String = cells.collect();
    format!("<div class=\"scroll\"><table class=\"facts\"><tbody>\n{rows}</tbody></table></div>\n")
}

/// Latency with its proper sign.
fn latency(us: f64) -> String {
    crate::model::numbers::latency(us).replace(" us", " µs")
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use crate::model::quantiles::Distribution;
    use crate::model::second::Event;
    use crate::record::results::{Document, Run};

    /// Elements that have no end.
    const VOID: [&str; 2] = ["meta", "!doctype"];

    /// Whether every element ends, in order, and nothing outside is referred to.
    pub(crate) fn check(page: &str) {
        for foreign in ["http://", "https://", "//cdn", "<script", "<link", "@import", "url("] {
            assert!(!page.contains(foreign), "the page refers to {foreign}");
        }
        let mut open: Vec<&str> = Vec::new();
        let style = page.find("</style>").unwrap();
        let body = page[..page.find("<style>").unwrap()].to_string() + &page[style + 8..];
        for piece in body.split('<').skip(1) {
            let (tag, _) = piece.split_once('>').expect("a tag ends");
            let name = tag.trim_start_matches('/').split([' ', '\n', '/']).next().unwrap();
            if tag.starts_with('/') {
                assert_eq!(open.pop(), Some(name), "...{piece}");
            } else if !tag.ends_with('/') && !VOID.contains(&name) {
                open.push(name);
            }
            assert!(tag.matches('"').count() % 2 == 0, "quotes in <{tag}>");
        }
        assert!(open.is_empty(), "never closed: {open:?}");
        assert!(!page.contains("NaN") && !page.contains("inf"), "a figure is none");
    }

    #[test]
    fn page_is_well_formed_and_self_contained() {
        let mut document = Document::begin();
        let mut run = Run::sample("get", 10_000.0);
        run.target = "<script>alert('x')</script> & \"co\"".into();
        let (kind, text) = ("snapshot".to_string(), "a snapshot took 12 ms".to_string());
        run.events.push(Event { at_s: 2.5, kind, text });
        run.series[2].ops = 0;
        run.series[2].latency_us = Default::default();
        run.series[1].commit_ms = Some(Distribution { p50: 0.1, p99: 0.5, max: 2.0 });
        run.series[1].commit_records = Some(Distribution { p50: 1.0, p99: 20.0, max: 50.0 });
        document.results = vec![run.clone(), run];
        let page = report(&document);
        check(&page);
        for part in [
            "&lt;script&gt;",
            "10,000",
            "a snapshot took 12 ms",
            "download=",
            "100 µs",
            "Group commit",
            "p99 20\nmax 50",
        ] {
            assert!(page.contains(part), "{part} is missing");
        }
    }

    #[test]
    fn empty_run_has_a_page() {
        let mut document = Document::begin();
        let mut run = Run::sample("get", 10_000.0);
        run.total.ops = 0;
        run.total.curve.clear();
        run.total.latency_us = Default::default();
        run.ops.clear();
        run.series.clear();
        document.results.push(run);
        check(&report(&document));
    }

    #[test]
    fn texts_are_escaped() {
        assert_eq!(
            escape("<a href=\"x\">&'</a>"),
            "&lt;a href=&quot;x&quot;&gt;&amp;&#39;&lt;/a&gt;"
        );
        assert_eq!(escape("<a b='c'>&\"é"), "&lt;a b=&#39;c&#39;&gt;&amp;&quot;é");
    }
}
