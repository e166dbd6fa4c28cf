"""The gradient picture: from a `backward()` or a function to a graph of boxes, and that as SVG, HTML, DOT or JSON."""
