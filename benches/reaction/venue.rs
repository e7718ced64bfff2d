//! The bench's venue: raw sockets, constant answers, and the moments at which frames leave and orders arrive.

use super::*;

pub const EXCHANGE_INFO: &str = r#"{"timezone":"UTC","serverTime":1795000000000,"futuresType":"U_MARGINED","rateLimits":[{"rateLimitType":"REQUEST_WEIGHT","interval":"MINUTE","intervalNum":1,"limit":1000000}],"exchangeFilters":[],"assets":[{"asset":"USDT","marginAvailable":true,"autoAssetExchange":"-10000"}],"symbols":[{"symbol":"BTCUSDT","pair":"BTCUSDT","contractType":"PERPETUAL","deliveryDate":4133404800000,"onboardDate":1569398400000,"status":"TRADING","maintMarginPercent":"2.5000","requiredMarginPercent":"5.0000","baseAsset":"BTC","quoteAsset":"USDT","marginAsset":"USDT","pricePrecision":2,"quantityPrecision":3,"baseAssetPrecision":8,"quotePrecision":8,"underlyingType":"COIN","underlyingSubType":["PoW"],"triggerProtect":"0.0500","liquidationFee":"0.012500","marketTakeBound":"0.05","maxMoveOrderLimit":10000,"filters":[{"filterType":"PRICE_FILTER","minPrice":"261.10","maxPrice":"809484","tickSize":"0.10"},{"filterType":"LOT_SIZE","minQty":"0.001","maxQty":"1000","stepSize":"0.001"},{"filterType":"MARKET_LOT_SIZE","minQty":"0.001","maxQty":"120","stepSize":"0.001"},{"filterType":"MAX_NUM_ORDERS","limit":200},{"filterType":"MIN_NOTIONAL","notional":"50"},{"filterType":"PERCENT_PRICE","multiplierUp":"1.0500","multiplierDown":"0.9500","multiplierDecimal":"4"}],"orderTypes":["LIMIT","MARKET"],"timeInForce":["GTC","IOC","FOK","GTX"]}]}"#;
pub const BRACKETS: &str = r#"[{"symbol":"BTCUSDT","brackets":[{"bracket":1,"initialLeverage":20,"notionalCap":50000000,"notionalFloor":0,"maintMarginRatio":0.05,"cum":0.0}]}]"#;
pub const ACCOUNT_CONFIG: &str = r#"{"feeTier":0,"canTrade":true,"canDeposit":true,"canWithdraw":true,"dualSidePosition":false,"multiAssetsMargin":false,"tradeGroupId":-1,"updateTime":0}"#;
pub const SYMBOL_CONFIG: &str = r#"[{"symbol":"BTCUSDT","marginType":"CROSSED","isAutoAddMargin":false,"leverage":20,"maxNotionalValue":"80000000"}]"#;
pub const ASSET_INDEX: &str = r#"[{"symbol":"USDTUSD","time":1795000000000,"index":"1","bidBuffer":"0","askBuffer":"0","bidRate":"1","askRate":"1","autoExchangeBidBuffer":"0","autoExchangeAskBuffer":"0","autoExchangeBidRate":"1","autoExchangeAskRate":"1"}]"#;
/// An order that arrived.
pub struct Arrived {
    pub at: Instant,
    pub id: String,
    pub quantity: String,
}

/// What the account holds, as thousandths, and since when.
pub type Held = Arc<Mutex<(i64, i64)>>;

/// The raw server, and the ends of its streams.
pub struct Venue {
    pub rest: String,
    pub stream: String,
    pub held: Held,
    pub orders: Receiver<Arrived>,
    pub privates: Receiver<TcpStream>,
    pub markets: Receiver<TcpStream>,
}

impl Venue {
    pub fn start() -> Venue {
        let (rest, stream) = (
            TcpListener::bind("127.0.0.1:0").unwrap(),
            TcpListener::bind("127.0.0.1:0").unwrap(),
        );
        let (rest_at, stream_at) = (rest.local_addr().unwrap(), stream.local_addr().unwrap());
        let held: Held = Arc::new(Mutex::new((1_000, clock::now().ms())));
        let (orders_in, orders) = sync_channel(64);
        let (private_in, privates) = sync_channel(64);
        let (market_in, markets) = sync_channel(64);
        let shown = Arc::clone(&held);
        thread::spawn(move || {
            for tcp in rest.incoming().map_while(Result::ok) {
                let (held, orders) = (Arc::clone(&shown), orders_in.clone());
                thread::spawn(move || serve_rest(tcp, &held, &orders));
            }
        });
        thread::spawn(move || {
            for tcp in stream.incoming().map_while(Result::ok) {
                let (private, market) = (private_in.clone(), market_in.clone());
                thread::spawn(move || serve_stream(tcp, &private, &market));
            }
        });
        Venue {
            rest: rest_at.to_string(),
            stream: stream_at.to_string(),
            held,
            orders,
            privates,
            markets,
        }
    }
}

/// Reads up to the empty line; `None` when the peer is gone.
pub fn head(tcp: &mut TcpStream, buffer: &mut Vec<u8>) -> Option<String> {
    loop {
        if let Some(at) = buffer.windows(4).position(|window| window == b"\r\n\r\n") {
            let rest = buffer.split_off(at + 4);
            return String::from_utf8(std::mem::replace(buffer, rest)).ok();
        }
        let mut chunk = [0; 4_096];
        match tcp.read(&mut chunk) {
            Ok(n) if 0 < n => buffer.extend_from_slice(&chunk[..n]),
            _ => return None,
        }
    }
}

pub fn serve_rest(mut tcp: TcpStream, held: &Held, orders: &SyncSender<Arrived>) {
    tcp.set_nodelay(true).unwrap();
    let mut buffer = Vec::new();
    while let Some(head) = head(&mut tcp, &mut buffer) {
        let at = Instant::now();
        let is_order = head.starts_with("POST /fapi/v1/order?");
        let (body, arrived) = if is_order {
            let arrived = Arrived {
                at,
                id: field(&head, "newClientOrderId="),
                quantity: field(&head, "quantity="),
            };
            let mut held = held.lock().unwrap();
            *held = (held.0 - thousandths(&arrived.quantity), clock::now().ms());
            (order_body(&arrived), Some(arrived))
        } else {
            (rest_body(&head, held), None)
        };
        if let Some(arrived) = arrived {
            let _ = orders.send(arrived);
        }
        let answer = format!(
            "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n{body}",
            body.len()
        );
        if tcp.write_all(answer.as_bytes()).is_err() {
            return;
        }
    }
}

pub fn field(head: &str, name: &str) -> String {
    let found = head.split_once(name).map_or("", |(_, rest)| rest);
    found.split(['&', ' ']).next().unwrap_or("").to_owned()
}

pub fn thousandths(text: &str) -> i64 {
    let (whole, part) = text.split_once('.').unwrap_or((text, ""));
    format!("{whole}{:0<3}", &part[..part.len().min(3)])
        .parse()
        .unwrap_or(0)
}

pub fn shown(thousandths: i64) -> String {
    format!("{}.{:03}", thousandths / 1_000, thousandths % 1_000)
}

pub fn order_body(order: &Arrived) -> String {
    let (id, quantity, now) = (&order.id, &order.quantity, clock::now().ms());
    format!(
        r#"{{"orderId":{now},"clientOrderId":"{id}","symbol":"BTCUSDT","status":"FILLED","side":"SELL","positionSide":"BOTH","type":"MARKET","origType":"MARKET","timeInForce":"GTC","origQty":"{quantity}","executedQty":"{quantity}","cumQty":"{quantity}","price":"0","stopPrice":"0","reduceOnly":true,"closePosition":false,"workingType":"CONTRACT_PRICE","priceProtect":false,"priceMatch":"NONE","selfTradePreventionMode":"EXPIRE_MAKER","goodTillDate":0,"updateTime":{now}}}"#
    )
}

pub fn rest_body(head: &str, held: &Held) -> String {
    let target = head.split(' ').nth(1).unwrap_or("");
    let (amount, at) = *held.lock().unwrap();
    let amount = shown(amount);
    match target.split('?').next().unwrap_or("") {
        "/fapi/v1/time" => format!(r#"{{"serverTime":{}}}"#, clock::now().ms()),
        "/fapi/v1/exchangeInfo" => EXCHANGE_INFO.to_owned(),
        "/fapi/v1/leverageBracket" => BRACKETS.to_owned(),
        "/fapi/v1/accountConfig" => ACCOUNT_CONFIG.to_owned(),
        "/fapi/v1/symbolConfig" => SYMBOL_CONFIG.to_owned(),
        "/fapi/v1/assetIndex" => ASSET_INDEX.to_owned(),
        "/fapi/v1/listenKey" => format!(r#"{{"listenKey":"{}"}}"#, "k".repeat(64)),
        "/fapi/v3/account" => format!(
            r#"{{"assets":[{{"asset":"USDT","walletBalance":"6000","crossWalletBalance":"6000","updateTime":{at}}}],"positions":[{{"symbol":"BTCUSDT","positionSide":"BOTH","positionAmt":"{amount}","updateTime":{at}}}]}}"#
        ),
        "/fapi/v3/positionRisk" => format!(
            r#"[{{"symbol":"BTCUSDT","positionSide":"BOTH","positionAmt":"{amount}","entryPrice":"60000","markPrice":"60000","unRealizedProfit":"0","isolatedMargin":"0","isolatedWallet":"0","marginAsset":"USDT","updateTime":{at}}}]"#
        ),
        "/fapi/v1/openOrders" | "/fapi/v1/openAlgoOrders" | "/fapi/v1/income" => "[]".to_owned(),
        _ => "{}".to_owned(),
    }
}

pub fn serve_stream(tcp: TcpStream, private: &SyncSender<TcpStream>, market: &SyncSender<TcpStream>) {
    tcp.set_nodelay(true).unwrap();
    let raw = tcp.try_clone().unwrap();
    let mut path = String::new();
    #[expect(clippy::result_large_err, reason = "the library's signature")]
    let note = |request: &Request, response: Response| -> Result<Response, ErrorResponse> {
        path = request.uri().path().to_owned();
        Ok(response)
    };
    let Ok(socket) = accept_hdr(tcp, note) else { return };
    if path.starts_with("/private") {
        let _ = private.send(raw);
        return;
    }
    acknowledge(socket, || {
        let _ = market.send(raw.try_clone().unwrap());
    });
}

/// Answers subscriptions; the first one tells that marks may flow.
pub fn acknowledge(mut socket: WebSocket<TcpStream>, subscribed: impl Fn()) {
    let mut is_first = true;
    while let Ok(message) = socket.read() {
        let Message::Text(text) = message else { continue };
        let id = text.as_str().split_once("\"id\":").map_or("", |(_, rest)| rest);
        let id: String = id.chars().take_while(char::is_ascii_digit).collect();
        if socket
            .send(Message::text(format!(r#"{{"result":null,"id":{id}}}"#)))
            .is_err()
        {
            return;
        }
        if std::mem::take(&mut is_first) {
            subscribed();
        }
    }
}

/// A text frame of a server.
pub fn frame(text: &str) -> Vec<u8> {
    let mut bytes = vec![0x81];
    if text.len() < 126 {
        bytes.push(u8::try_from(text.len()).unwrap());
    } else {
        bytes.push(126);
        bytes.extend_from_slice(&u16::try_from(text.len()).unwrap().to_be_bytes());
    }
    bytes.extend_from_slice(text.as_bytes());
    bytes
}

pub fn mark(now: i64, cents: usize) -> Vec<u8> {
    frame(&format!(
        r#"{{"e":"markPriceUpdate","E":{now},"s":"BTCUSDT","p":"60000.{cents:02}","ap":"60000.10","i":"60000.11","P":"60000.00","r":"0.00010000","T":1795008000000,"st":1}}"#
    ))
}

pub fn account_update(now: i64, amount: &str) -> Vec<u8> {
    frame(&format!(
        r#"{{"e":"ACCOUNT_UPDATE","E":{now},"T":{now},"a":{{"m":"ORDER","B":[{{"a":"USDT","wb":"6000","cw":"6000","bc":"0"}}],"P":[{{"s":"BTCUSDT","pa":"{amount}","ep":"60000","bep":"60000","cr":"0","up":"0","mt":"cross","iw":"0","ps":"BOTH"}}]}}}}"#
    ))
}

pub fn order_update(now: i64, order: &Arrived) -> Vec<u8> {
    let (id, quantity) = (&order.id, &order.quantity);
    frame(&format!(
        r#"{{"e":"ORDER_TRADE_UPDATE","E":{now},"T":{now},"o":{{"s":"BTCUSDT","c":"{id}","S":"SELL","o":"MARKET","f":"GTC","q":"{quantity}","p":"0","ap":"60000","sp":"0","x":"TRADE","X":"FILLED","i":{now},"l":"{quantity}","z":"{quantity}","L":"60000","N":"USDT","n":"0","T":{now},"t":510000077,"b":"0","a":"0","m":false,"R":true,"wt":"CONTRACT_PRICE","ot":"MARKET","ps":"BOTH","cp":false,"pP":false,"si":0,"ss":0,"rp":"0","V":"EXPIRE_MAKER","pm":"NONE","gtd":0,"er":"0"}}}}"#
    ))
}

pub fn margin_call(now: i64) -> Vec<u8> {
    frame(&format!(
        r#"{{"e":"MARGIN_CALL","E":{now},"cw":"6000","p":[{{"s":"BTCUSDT","ps":"BOTH","pa":"{FULL}","mt":"CROSSED","iw":"0","mp":"60000","up":"0","mm":"3000"}}]}}"#
    ))
}

// --- the rounds ---------------------------------------------------------------------------------------------------
