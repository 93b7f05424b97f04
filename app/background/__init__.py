"""Work that outlives a click: catalog entries opened, boxes embedded, map tiles fetched; one of each per process."""
