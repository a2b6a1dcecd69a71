// What node:fs is in a browser: a flash that is in no file needs none.
export default {};
