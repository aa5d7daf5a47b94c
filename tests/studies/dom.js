"use strict";
// As much of a browser's document as the page's script uses, over a tree of {tag, attributes, text, children}.

class Node_ {
  constructor(tree, parent) {
    this.tag = tree.tag; this.attributes = tree.attributes; this.text = tree.text; this.parent = parent;
    this.children = tree.children.map((child) => new Node_(child, this));
    this.listeners = {};
    this.style = { values: {}, setProperty(name, value) { this.values[name] = value; } };
    this.src = this.attributes.src ?? "";
    this.alt = this.attributes.alt ?? "";
  }
  get dataset() { return { value: this.attributes["data-value"] }; }
  get tHead() { return this.find("thead")[0]; }
  get tBodies() { return this.find("tbody"); }
  get rows() { return this.find("tr"); }
  get cells() { return this.children.filter((child) => child.tag === "td" || child.tag === "th"); }
  get options() { return this.find("option"); }
  get selectedIndex() {
    if (this.index === undefined) this.index = Math.max(0, this.options.findIndex((one) => "selected" in one.attributes));
    return this.index;
  }
  set selectedIndex(index) { this.index = index; }
  get value() { return this.tag === "select" ? this.options[this.selectedIndex].attributes.value : this.current ?? this.attributes.value; }
  set value(value) { this.current = value; }
  getAttribute(name) { return this.attributes[name] ?? null; }
  setAttribute(name, value) { this.attributes[name] = value; }
  removeAttribute(name) { delete this.attributes[name]; }
  addEventListener(name, listener) { this.listeners[name] = listener; }
  fire(name) { this.listeners[name](); }
  appendChild(child) {
    child.parent.children.splice(child.parent.children.indexOf(child), 1);
    this.children.push(child);
    child.parent = this;
  }
  *walk() { for (const child of this.children) { yield child; yield* child.walk(); } }
  find(tag) { return Array.from(this.walk()).filter((one) => one.tag === tag); }
  fits(selector) {
    const [, tag, classes, attribute, value] = /^([a-z]*)((?:\.[a-z]+)*)(?:\[([a-z]+)="?([a-z]+)"?\])?$/.exec(selector);
    const mine = (this.attributes.class ?? "").split(" ");
    return (!tag || this.tag === tag) && classes.split(".").slice(1).every((one) => mine.includes(one)) &&
      (!attribute || this.attributes[attribute] === value);
  }
  querySelectorAll(selector) { return Array.from(this.walk()).filter((one) => one.fits(selector)); }
  querySelector(selector) { return this.querySelectorAll(selector)[0] ?? null; }
  getElementById(id) { return Array.from(this.walk()).find((one) => one.attributes.id === id) ?? null; }
}
