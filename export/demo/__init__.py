"""A page on loopback on which a bundle answers, in the browser and beside it here."""
