"""Pictures and the page that show a whole plate: thumbnails, montage, heatmap, summary."""
