// What is shown comes from clients, too: it goes into the document as text, never as markup.

export const $ = (id) => document.getElementById(id);

/** An element with properties, and children or text. */
export function el(name, properties = {}, ...children) {
  const element = document.createElement(name);
  for (const [key, value] of Object.entries(properties)) {
    if (key === "class") element.className = value;
    else if (key.startsWith("data-") || key.startsWith("aria-") || key === "scope" || key === "role")
      element.setAttribute(key, value);
    else element[key] = value;
  }
  element.append(...children);
  return element;
}

/** The same for a drawing. */
export function svg(name, attributes = {}, ...children) {
  const element = document.createElementNS("http://www.w3.org/2000/svg", name);
  for (const [key, value] of Object.entries(attributes)) element.setAttribute(key, value);
  element.append(...children);
  return element;
}

/** Sets an element's text, and leaves it alone if it is the same: selections stay. */
export function text(element, value) {
  if (element.textContent !== value) element.textContent = value;
}

/** The same for a class or another attribute. */
export function attribute(element, name, value) {
  if (element.getAttribute(name) !== value) element.setAttribute(name, value);
}

/** Makes a list as long as needed; `make` makes one more. Returns its elements. */
export function fit(parent, length, make) {
  while (parent.children.length > length) parent.lastElementChild.remove();
  while (parent.children.length < length) parent.append(make(parent.children.length));
  return parent.children;
}
