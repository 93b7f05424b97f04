"""Colours shared by the map, the charts, the legends and the exported sheet; this module imports nothing."""

PLACE_COLOURS = ("#c81ec0", "#2460fc", "#b48400", "#0c8424", "#fc3c84", "#0c8484")
"""One for each place slot; distinguishable with colour-vision deficiency, contrast 3:1 on light and dark pages, apart
by 25 (CIE 1976 colour difference) from the components, the radar bands and the tower, with which they share charts."""
PREDICTION_COLOUR = "#129089"
"""The prediction beside a tower's GPP and the baselines, whichever place that is."""
CLASS_COLOURS = ("#0072b2", "#e69f00", "#009e73", "#cc79a7", "#56b4e9", "#d55e00", "#f0e442", "#555555")
"""Classes of clusters and labels: the palette of Okabe and Ito (2008), safe with colour-vision deficiency."""
HALO = "#ffffff"
"""Outline that keeps every marker visible on any map colour."""
TOWER_COLOUR = "#d55e00"
COMPONENT_COLOURS = {"PC1": "#d55e00", "PC2": "#009e73", "PC3": "#2f86c9"}
"""Okabe-Ito colours of the principal components: red, green and blue as on the map."""
# Night-time partitioning, the usual reference, has the tower's own colour.
GPP_NT_COLOUR, GPP_DT_COLOUR, CLIMATOLOGY_COLOUR = TOWER_COLOUR, "#9b59a6", "#7d8a98"
"""Tower GPP by night-time and by day-time partitioning, and the climatology of the tower's other years."""
AREA_LINES_COLOUR = "#8fae1b"
"""The lines of all pixels of an area: apart by 25 from the places and from what the tower draws."""
MARK_COLOUR = "#4a9c00"
"""Pixels that are marked in the other of map and feature space: no colour of the palette of densities, contrast 3:1 on
light and dark pages."""
PATH_COLOUR = "#7d8a98"
"""The path of a pixel through feature space: seen on a light and on a dark page."""
RADAR_COLOURS = {"VV": "#3b6fa0", "VH": "#b0643c"}
WEATHER_COLOURS = {"sw_in": "#b8860b", "tair": "#c0392b"}
THEMES = {
    "light": {
        "text": "#4a5563",
        "grid": "#e8ebef",
        "shade": "#aab4c0",
        "cursor": "#16202c",
        "card": "#ffffff",
        "ink": "#1a2430",
    },
    "dark": {
        "text": "#a9b4c2",
        "grid": "#2a333e",
        "shade": "#5c6876",
        "cursor": "#f2f5f8",
        "card": "#19202a",
        "ink": "#e9eef3",
    },
}
"""Colours of a chart's text, grid lines, gap shading and day cursor, and of a map's scale bar, by theme."""
FONT = "Inter, 'Helvetica Neue', Helvetica, Arial, sans-serif"
