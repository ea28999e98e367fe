// The reader of imports finds each way to write one.

import assert from 'node:assert/strict';
import { test } from 'node:test';

import { readImports } from './rust-import.mjs';

/** A small crate. */
const CRATE = {
  'lib.rs': '/// [`crate::edge`]\npub mod edge; pub mod handler; pub mod session; pub mod store;',
  'edge.rs': "use std::rc::Rc; fn f<'a>(x: &'a str) -> char { \"crate::{\"; '\"' } // use crate::handler;",
  'store.rs': '',
  'handler.rs': '#[cfg(test)] mod tests;',
  'handler/tests.rs': 'use crate::edge;',
  'session/mod.rs': 'mod id; mod tests;',
  'session/id.rs': '',
  'session/tests.rs': '',
};

/** Reads the crate after an edit. @param {string} file @param {string} text */
const edited = (file, text) => readImports(new Map(Object.entries({ ...CRATE, [file]: text })));

/** @type {[file: string, text: string, imports: string[]][]} */
const FOUND = [
  ['store.rs', 'use crate::handler;', ['handler']],
  ['store.rs', 'use crate::{handler as h};', ['handler']],
  ['store.rs', 'use super::{handler as h, session::id::{self, Id}};', ['handler', 'session::id']],
  ['store.rs', 'use {crate::handler, std::{rc, io}};', ['handler']],
  ['store.rs', 'use crate :: handler\n:: Handler;', ['handler']],
  ['store.rs', 'use r#crate::r#handler;', ['handler']],
  ['store.rs', 'use crate /* a /* nested */ comment */ :: handler; // crate::edge', ['handler']],
  ['store.rs', 'fn f() { g("https://x", crate::handler::Handler) }', ['handler']],
  ['store.rs', 'fn f() { g(r#"a " // "#, \'"\', b\'\\\'\', "\\"", crate::handler::Handler) }', ['handler']],
  ['store.rs', 'fn f(a: <crate::handler::A as B>::C) {}', ['handler']],
  ['store.rs', '#[serde(with = "crate::handler")] struct S;', ['handler']],
  ['store.rs', 'macro_rules! m { () => { $crate::handler::f() } }', ['handler']],
  ['store.rs', '#[cfg(test)] mod tests { use crate::edge; fn f() {} } use crate::handler;', ['handler']],
  ['store.rs', '#[cfg(test)] mod tests; fn f() { crate::handler::f() }', ['handler']],
  ['store.rs', '#[cfg(test)] fn f() {} use crate::handler;', ['handler']],
  ['store.rs', '#[cfg(test)] use crate::edge;', ['edge']],
  ['store.rs', '#[cfg(not(test))] use crate::edge;', ['edge']],
  ['store.rs', 'use crate::session as s; fn f() { s::id::f() }', ['session', 'session::id']],
  ['store.rs', 'fn f<T>() -> impl A + use<T> { crate::handler::f() }', ['handler']],
  ['lib.rs', 'pub mod edge; pub use edge::Edge;', ['edge']],
  ['session/mod.rs', 'mod id; use id::Id;', ['session::id']],
  ['session/mod.rs', 'mod id; fn f() { id::f() }', ['session::id']],
  ['session/id.rs', 'use super::super::store::Store;', ['store']],
  ['session/id.rs', 'use super as s; fn f() { s::tests::f() }', ['session', 'session::tests']],
  ['session/tests.rs', 'use crate::handler;', ['handler']],
];

for (const [file, text, expected] of FOUND)
  test(`found: ${text}`, () => {
    const { imports, faults } = edited(file, text);
    assert.deepEqual(faults, []);
    const module = file.replace(/(\/mod)?\.rs$/, '').replace('/', '::');
    assert.deepEqual([...(imports.get(module) ?? [])], expected);
  });

/** @type {[file: string, text: string, fault: RegExp][]} */
const FORBIDDEN = [
  ['store.rs', 'use crate::Edge;', /crate::Edge names no module/],
  ['store.rs', 'fn f() -> super::Edge {}', /super::Edge names no module/],
  ['store.rs', 'use crate::*;', /crate::\* names no module/],
  ['store.rs', 'use crate::session::*;', /crate::session::\* names no module/],
  ['store.rs', 'use crate as me;', /crate names no module/],
  ['store.rs', 'use crate::{self as me};', /crate::self names no module/],
  ['store.rs', 'use super as me;', /super names no module/],
  ['store.rs', 'use ::causeway_core::handler;', /own name/],
  ['lib.rs', 'extern crate self as me;', /extern crate/],
  ['lib.rs', '#[path = "elsewhere.rs"] mod handler;', /#\[path\]/],
  ['lib.rs', '#[cfg_attr(unix, path = "elsewhere.rs")] mod handler;', /#\[path\]/],
  ['store.rs', 'include!("elsewhere.rs");', /include!/],
  ['store.rs', 'include!(concat!("else", "where.rs"));', /include!/],
  ['store.rs', 'mod inner { use super::super::handler; }', /inline module/],
];

for (const [file, text, fault] of FORBIDDEN)
  test(`forbidden: ${text}`, () => assert.match(edited(file, text).faults.join('\n'), fault));

test('comments, text, macro variables and unit tests import nothing', () => {
  const text = 'macro_rules! m { ($a:ident) => { crate::$a::f() } } include!(concat!(env!("OUT_DIR"), "/a.rs"));';
  const { imports, faults } = edited('store.rs', text);
  assert.deepEqual(faults, []);
  assert.ok(!imports.has('handler::tests') && imports.has('session::tests'));
  for (const [module, targets] of imports) assert.deepEqual([...targets], [], module);
});
