/** The page's few icons: 20 × 20 strokes, made as nodes. They are decoration; buttons carry their names in words. */

const SVG = "http://www.w3.org/2000/svg";

const PATHS = {
  menu: "M3 5.5h14M3 10h14M3 14.5h14",
  plus: "M10 4v12M4 10h12",
  search: "M9 3.5a5.5 5.5 0 1 1 0 11a5.5 5.5 0 0 1 0-11M13 13l4 4",
  pencil: "M4 16l.8-3.4L13.4 4a1.6 1.6 0 0 1 2.3 0l.3.3a1.6 1.6 0 0 1 0 2.3L7.4 15.2z",
  trash: "M4 6h12M8 6V4h4v2M5.5 6l.7 10h7.6l.7-10",
  copy: "M7.5 7.5h8v9h-8zM12.5 7.5v-4h-8v9h3",
  check: "M4 10.5l4 4l8-9",
  retry: "M15.5 8a6 6 0 1 0 .3 4M16 4v4h-4",
  stop: "M6 6h8v8H6z",
  send: "M10 16V4.5M5 9.5l5-5l5 5",
  sliders: "M3 6h7M14 6h3M12 4v4M3 14h3M10 14h7M8 12v4",
  tools:
    "M12.2 3.2a4.2 4.2 0 0 0-3.9 6L3.6 14a1.7 1.7 0 0 0 2.4 2.4l4.8-4.7a4.2 4.2 0 0 0 5.5-5.3l-2.5 2.5l-2.2-.5l-.5-2.2l2.4-2.5z",
  theme: "M10 3a7 7 0 1 0 0 14zM10 3a7 7 0 0 1 0 14",
  download: "M10 3.5v9M6 9l4 4l4-4M4 16.5h12",
  upload: "M10 13V4M6 7.5l4-4l4 4M4 16.5h12",
  left: "M12 5l-5 5l5 5",
  right: "M8 5l5 5l-5 5",
  close: "M5 5l10 10M15 5L5 15",
  help: "M7.5 7.5a2.5 2.5 0 1 1 3.6 2.2c-.7.4-1.1 1-1.1 1.800M10 14.2v.3",
};

/** @typedef {keyof typeof PATHS} IconName */

/** @param {IconName} name */
export function icon(name) {
  const svg = document.createElementNS(SVG, "svg");
  svg.setAttribute("viewBox", "0 0 20 20");
  svg.setAttribute("class", "icon");
  svg.setAttribute("aria-hidden", "true");
  const path = document.createElementNS(SVG, "path");
  path.setAttribute("d", PATHS[name]);
  svg.append(path);
  return svg;
}
