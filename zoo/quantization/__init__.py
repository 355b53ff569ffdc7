"""How a checkpoint becomes int8: recipes, layers that stay in fp32, and what was found of each."""
