//! Results for people: text, live display, HTML, comparisons.

pub(crate) mod capacity;
pub(crate) mod compare;
pub(crate) mod condition;
pub mod html;
pub(crate) mod live;
pub(crate) mod outages;
pub mod paint;
pub(crate) mod sparkline;
pub(crate) mod text;
pub(crate) mod versus;

/// Columns of tables where there is no terminal, and where it does not say how wide it is.
const COLUMNS: usize = 80;

/// Columns that a line of a table may have on the standard output.
pub(crate) fn columns() -> usize {
    let size = rustix::termios::tcgetwinsize(std::io::stdout()).ok();
    let columns = size.map(|size| usize::from(size.ws_col)).filter(|columns| *columns > 0);
    columns.unwrap_or(COLUMNS)
}
