print("tablecast")
