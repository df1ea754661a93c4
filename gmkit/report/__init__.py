"""Reports: one HTML file that holds all it shows, with charts drawn as SVG."""
