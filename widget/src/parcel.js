// The widget as a single-spa parcel: `mountRootParcel(() => import('…/assets/parcel.js'), { domElement, heading })`. It
// is also an application, for `registerApplication`.

import { mount as mountInto } from './module.js';

/**
 * @typedef {NonNullable<Parameters<typeof mountInto>[1]>} Options
 *
 * @typedef {Options & {
 *   name: string,
 *   domElement?: Element,
 *   domElementGetter?: (props: Props) => Element,
 *   unmountSelf?: () => Promise<unknown>,
 * }} Props what single-spa passes, and what the page does
 */

/** What each option is without a value. */
const UNSET = { edge: null, channel: null, heading: null, popup: null, lang: '', strings: {} };

/** The element of each parcel or application. @type {Map<unknown, Element>} */
const mounted = new Map();

/** All parcels have the same name if their page gives them one. @param {Props} props */
const keyOf = ({ name, unmountSelf }) => unmountSelf ?? name;

/**
 * As other frameworks' adapters do: an application that says no element gets one of its own.
 * @param {Props} props
 */
function placeOf(props) {
  const { name, domElement, domElementGetter } = props;
  const id = `single-spa-application:${name}`;
  const given = domElement ?? domElementGetter?.(props) ?? document.getElementById(id);
  if (given) return given;
  const place = document.createElement('div');
  place.id = id;
  document.body.append(place);
  return place;
}

export async function bootstrap() {}

/** @param {Props} props */
export async function mount(props) {
  const place = placeOf(props);
  const given = Object.entries(props).filter(([name, value]) => value && Object.hasOwn(UNSET, name));
  mountInto(place, Object.fromEntries(given));
  if (place.lastElementChild) mounted.set(keyOf(props), place.lastElementChild);
}

/**
 * Applies the options that are among the properties; an undefined one is unset.
 * @param {Props} props
 */
export async function update(props) {
  const widget = mounted.get(keyOf(props));
  for (const [name, unset] of Object.entries(UNSET)) {
    if (widget && name in props) Reflect.set(widget, name, Reflect.get(props, name) ?? unset);
  }
}

/** @param {Props} props */
export async function unmount(props) {
  mounted.get(keyOf(props))?.remove();
  mounted.delete(keyOf(props));
}
