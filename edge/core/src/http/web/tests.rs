use super::*;

#[test]
fn s133_debug_output_of_requests_and_answers_contains_no_secret() {
    const SECRET: &str = "gho_16C7e42F292c6912E7710c838347Ae178B4a";
    let headers = || HeaderMap::from_iter([(header::COOKIE, HeaderValue::from_static(SECRET))]);
    let url = url::Url::parse(&format!("https://id.example/{SECRET}?code={SECRET}")).unwrap();
    let mut outgoing = Outgoing::<String>::new(Method::POST, url, Duration::ZERO).with_bearer(&SECRET.into());
    assert!(outgoing.headers[header::AUTHORIZATION].is_sensitive());
    assert_eq!(outgoing.headers[header::AUTHORIZATION], format!("Bearer {SECRET}"));
    outgoing.body = Body::Bytes(SECRET.to_owned().into());
    let request = Request {
        method: Method::GET,
        path: format!("/{SECRET}"),
        query: Some(SECRET.to_owned()),
        headers: headers(),
        client_address: None,
        body: SECRET,
    };
    let response = Response { status: StatusCode::OK, headers: headers(), body: Body::Native(SECRET) };
    let incoming = Incoming { status: StatusCode::OK, headers: headers(), body: SECRET };
    let output = format!("{outgoing:?} {request:?} {response:?} {incoming:?}");
    assert!(!output.contains(SECRET), "{output}");
    assert!(output.contains("POST") && output.contains("id.example") && output.contains("Bytes(40)"), "{output}");
}
