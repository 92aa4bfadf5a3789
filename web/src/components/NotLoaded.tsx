/** In the place of a part of the page that is loaded when it is wanted. */
export function NotLoaded() {
  return <p className="note">This part of the page could not be loaded. Check the connection, then reload the page.</p>;
}
