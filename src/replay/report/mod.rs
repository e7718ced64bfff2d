//! One page that shows what policies did, or would have done, over recordings: it needs nothing but itself.
//!
//! The page is a function of recordings and policies alone: the same again gives the same bytes. It has no script and takes
//! nothing from elsewhere; what was recorded is text in it, whatever it contains (SE-10). Its size has a bound, however long the recording.

mod chart;
mod html;
mod page;
mod series;
mod watch;

pub use page::{Section, page};
pub use watch::Watch;
