"""Right answers: per exercise some functions `my_name__style`, each file a text of its own."""
