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
