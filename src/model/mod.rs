//! Values with units, and the nouns of a futures account. Knows nothing else.
//!
//! A bad number stops at the door: every constructor bounds its value, so the arithmetic inside cannot overflow
//! a [`Decimal`](rust_decimal::Decimal) and cannot mix units. Divisions say what happens at zero.

mod account;
mod id;
mod instrument;
mod intent;
mod order;
mod stop;
mod time;
mod value;

pub use account::{
    AssetIndex, Balance, Leg, MarginType, MarkPrice, Position, PositionMode, PositionSide, Side,
};
pub use id::{Asset, ClientOrderId, IdError, Symbol};
pub use instrument::{Instrument, LotRule, PriceBand, Tier, TradingStatus};
pub use intent::{Intent, IntentKey, Pricing, ReduceOrder};
pub use order::{Order, OrderId, OrderKind, OrderStatus, Store, Trade};
pub use stop::ProtectiveStop;
pub use time::{Span, Timestamp};
pub use value::{Money, Price, Qty, Ratio, ValueError, exact};
