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

/** Of the properties, those that are options of the widget. A test compares them with those of `mount`. */
const OPTIONS = ['edge', 'channel', 'heading', 'lang', 'popup', 'compact', 'open', 'deletable', 'strings'];

/** Of each parcel or application: its element, and what it was given last. @type {Map<unknown, [Element, Options]>} */
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

/**
 * The options among the properties, without those that have no value.
 * @param {Props} props
 * @returns {Record<string, any>}
 */
const optionsOf = (props) =>
  Object.fromEntries(Object.entries(props).filter(([name, value]) => value && OPTIONS.includes(name)));

/** @param {Props} props */
export async function mount(props) {
  const place = placeOf(props);
  const options = optionsOf(props);
  mountInto(place, options);
  if (place.lastElementChild) mounted.set(keyOf(props), [place.lastElementChild, options]);
}

/**
 * Applies what has changed among the options. One that is left out is unset. What the user has changed stays, such as
 * whether a compact chat is open.
 * @param {Props} props
 */
export async function update(props) {
  const key = keyOf(props);
  const [widget, before] = mounted.get(key) ?? [];
  if (!widget) return;
  const options = optionsOf(props);
  mounted.set(key, [widget, options]);
  for (const name of OPTIONS) {
    const value = options[name];
    if (value === Reflect.get(before ?? {}, name)) continue;
    if (name === 'strings') Reflect.set(widget, name, value);
    else if (value) widget.setAttribute(name, String(value));
    // As `mount` does: the element may be of a copy from another edge.
    else if (name === 'edge') widget.setAttribute(name, import.meta.url);
    else widget.removeAttribute(name);
  }
}

/** @param {Props} props */
export async function unmount(props) {
  const key = keyOf(props);
  mounted.get(key)?.[0].remove();
  mounted.delete(key);
}
