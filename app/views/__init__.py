"""What is on screen, piece by piece; only app.views, app.session, app.server and app.dashboard know Panel."""
