// Runs before the first paint, so that a page in the chosen theme never flashes in the other one. See parts/theme.js.
document.documentElement.dataset.theme = localStorage.getItem("smolforge.theme") || "system";
