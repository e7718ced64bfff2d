//! Alerts as they arrive: the words, and the shape that each kind of channel documents, at a receiver on this machine.

mod channels;
mod mail;
pub mod receiver;
mod words;

use backstop::alert::{Alert, Letter, Phase, Topic};
use backstop::guard::Severity;
use backstop::model::Timestamp;

/// A letter of which every part says something.
fn letter(severity: Severity, phase: Phase) -> Letter {
    let topic = Topic {
        account: "main".into(),
        policy: "margin".into(),
        scope: "cross USDT".into(),
    };
    let at = Timestamp::from_ms(1_795_000_000_000);
    let title = "main: margin ratio 70.1%, limit 70% <!channel> & so on".to_owned();
    let mut alert = Alert::new(topic, at, severity, phase, title);
    alert.rung = Some("reduce");
    alert.why = "maintenance 5886 / balance 8397.1 = 70.1%".into();
    alert.value = Some("0.701".into());
    alert.threshold = Some("0.7".into());
    alert.done = vec!["SELL 0.41 BTCUSDT at market, reduce-only".into()];
    alert.next = Some("everything is closed at 90%".into());
    alert.otherwise = "Backstop cuts until 45% is reached".into();
    alert.instead = "add margin".into();
    Letter {
        alert,
        repeats: 0,
        wants_ack: severity == Severity::Critical && phase != Phase::Over,
        missed: 0,
    }
}
