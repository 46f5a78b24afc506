"""What is drawn on paper, as PDF. Pure: what is on it goes in, bytes come out."""
