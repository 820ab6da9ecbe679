"""The page that shows scenes: pictures, sentences, tables and graphs in one HTML file that needs no network."""
